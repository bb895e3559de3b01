import { assertEquals } from "@std/assert";
import { plainService } from "./fixtures/plain_service.ts";
import { needsOf, needsOfFlags } from "./program_needs.ts";
import type { Service } from "./service.ts";

const DENO = ["/usr/bin/deno", "run", "-A", "--config=/usr/lib/culvert/deno.json", "/usr/lib/culvert/roles/main.ts"];

function role(name: string, flags: readonly string[], more: Partial<Service> = {}): Service {
  const [program, ...words] = [...DENO, name, ...flags];
  return plainService(name, [program!, ...words], { role: name, ...more });
}

Deno.test("a service is given the rights that its role, its flags and its ports need", () => {
  const both = ["CAP_NET_ADMIN", "CAP_NET_RAW"];
  const rows: [string, Service, string[]][] = [
    ["a proxy", role("proxy", ["--path", "direct:"]), []],
    ["a proxy over raw packets", role("proxy", ["--path", "kcp+raw://k@h:1/"]), both],
    ["a proxy over vtcp", role("proxy", ["--path=vtcp://k@h:1/"]), both],
    ["a proxy over vtcp's UDP", role("proxy", ["--path=vtcp+udp://k-raw-k@h:1/"]), []],
    ["a tunnel over raw packets", role("tunnel", ["--path=kcp+raw://k@h:1/"]), both],
    ["a proxy over another's far end called raw", role("proxy", ["--path", "socks5://raw.example:1/"]), []],
    ["a proxy over vtcp over UDP", role("proxy", ["--path", "vtcp+udp://k@h:1/"]), []],
    ["a proxy over a list with raw packets", role("proxy", ["--path", "direct:,kcp+raw://k@h:1/"]), both],
    ["kcp with a name", role("kcp-server", ["--state-dir", "/srv/raw/both"]), []],
    ["vtcp with a name", role("vtcp-server", ["--state-dir", "/srv/udp"]), both],
    ["kcp over UDP", role("kcp-server", ["--ports", "4000"]), []],
    ["kcp over raw packets", role("kcp-server", ["--carrier=raw"]), both],
    ["kcp over both, by its environment", role("kcp-server", [], { environment: { CULVERT_CARRIER: "both" } }), both],
    ["kcp, by a file that may say so", role("kcp-server", ["--config", "kcp.toml"]), both],
    ["kcp, by a file that says otherwise", role("kcp-server", ["--config", "kcp.toml"], { capabilities: [] }), []],
    ["vtcp", role("vtcp-server", []), both],
    ["vtcp over UDP", role("vtcp-server", ["--carrier", "udp"]), []],
    ["vtcp, by a file that says UDP", role("vtcp-server", ["--config", "v.toml"], { capabilities: [] }), []],
    ["an exit", role("exit", ["--region", "eu"]), []],
    ["an exit with an interface", role("exit", ["--tun"]), both],
    ["wireguard", role("wireguard", ["up", "wg0"]), both],
    ["paqet", plainService("other", ["/usr/local/bin/paqet", "run"]), both],
    ["xray", plainService("other", ["/usr/local/bin/xray", "run"]), []],
    ["a program that says so", plainService("other", ["/opt/own"], { capabilities: ["CAP_SYS_NICE"] }), [
      "CAP_SYS_NICE",
    ]],
    [
      "a low port",
      plainService("other", ["/opt/own"], { listen: [{ kind: "tcp", at: { host: "0.0.0.0", port: 443 } }] }),
      ["CAP_NET_BIND_SERVICE"],
    ],
  ];
  for (const [name, service, capabilities] of rows) assertEquals(needsOf(service).capabilities, capabilities, name);
});

Deno.test("a program of others' that names a right gets what that is for", () => {
  const own = (...capabilities: string[]) => needsOf(plainService("other", ["/opt/own"], { capabilities }));
  const { devices, addressFamilies } = own("CAP_NET_ADMIN", "CAP_NET_RAW");
  assertEquals([devices, addressFamilies], [["/dev/net/tun"], ["AF_PACKET"]]);
  assertEquals([own().devices, own().addressFamilies], [[], []]);
  assertEquals(needsOf(role("kcp-server", ["--carrier", "raw"])).devices, [], "rules are no interface");
});

Deno.test("interfaces take a device, the kernel's settings and /run; nothing else does", () => {
  const { devices, changesKernelSettings, writable } = needsOf(role("client", ["--tun"]));
  assertEquals([devices, changesKernelSettings, writable], [["/dev/net/tun"], true, ["/run"]]);
  const plain = needsOf(role("client", ["--listen", "127.0.0.1:1080"], { writable: ["/srv/b", "/srv/a"] }));
  assertEquals([plain.devices, plain.changesKernelSettings, plain.writable], [[], false, ["/srv/a", "/srv/b"]]);
});

Deno.test("of a role whose settings are all known nothing is only presumed", () => {
  const rows: [role: string, flags: string[], capabilities: number, writable: string[]][] = [
    ["kcp-client", ["--server=kcp+udp://k@h:1/"], 0, []],
    ["kcp-client", ["--server=kcp+udp://k@h:1/", "--server=kcp+raw://k@h:1/"], 2, []],
    ["client", ["--tun=false"], 0, []],
    ["client", ["--tun=true"], 2, ["/run"]],
  ];
  for (const [name, flags, capabilities, writable] of rows) {
    const needs = needsOfFlags(name, flags);
    assertEquals([needs.capabilities.length, needs.writable], [capabilities, writable], flags.join(" "));
  }
});
