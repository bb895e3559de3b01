/** The tools over raw packets, in namespaces: a client, a router and a server. */

import { assertMatch, assertStringIncludes } from "@std/assert";
import { NetLab, type NetNamespace } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { within } from "../../testing/waiting.ts";

const needs = { netns: true, tools: ["ip", "nft", "sysctl"] };
const SERVER = "10.78.0.2";
const PORT = 45_000;

interface Scene {
  readonly client: NetNamespace;
  readonly router: NetNamespace;
  readonly server: NetNamespace;
  /** A KCP server with the key "k". */
  serve(): Promise<void>;
  doctor(from: NetNamespace, settings?: Record<string, unknown>): Promise<string>;
}

function testOnPath(name: string, run: (scene: Scene) => Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const [client, router, server] = [
      await lab.namespace("client"),
      await lab.namespace("router"),
      await lab.namespace("server"),
    ];
    await lab.connect(client, "10.77.0.2/24", router, "10.77.0.1/24");
    await lab.connect(router, "10.78.0.1/24", server, `${SERVER}/24`);
    await client.run(["ip", "route", "add", "default", "via", "10.77.0.1"]);
    await server.run(["ip", "route", "add", "default", "via", "10.78.0.1"]);
    await router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    await using children = new AsyncDisposableStack();
    await run({
      client,
      router,
      server,
      serve: async () => void children.use(await servingIn(server)),
      doctor: (from, settings) => runIn(from, "doctor", { to: `${SERVER}:${PORT}`, ...settings }),
    });
  });
}

function script(name: string): string[] {
  return [Deno.execPath(), "run", "-A", "--no-check", new URL(`fixtures/${name}.ts`, import.meta.url).pathname];
}

async function servingIn(server: NetNamespace): Promise<AsyncDisposable> {
  const child = server.spawn([...script("serve_kcp"), "raw", "ours", `${PORT}`, "k"], {
    stdin: "piped",
    stdout: "piped",
  });
  const reader = child.stdout.getReader();
  const { value } = await within("a server", reader.read());
  assertStringIncludes(new TextDecoder().decode(value), "serving");
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await within("the end of a server", child.status);
      await reader.cancel();
    },
  };
}

/** With the key "k" over raw packets, unless something else is said. */
async function runIn(namespace: NetNamespace, tool: string, settings: Record<string, unknown>): Promise<string> {
  const whole = { carrier: "raw", dialect: "kcptun", key: "k", ...settings };
  return (await namespace.run([...script("run_tool"), tool, JSON.stringify(whole)])).stdout;
}

testOnPath("a doctor finds a path of raw packets well, and how long they may be", async (scene) => {
  const { client, router, serve, doctor } = scene;
  await serve();
  const well = await doctor(client);
  assertStringIncludes(well, "ok       rights    This process may send raw packets and set rules");
  assertStringIncludes(
    well,
    `ok       way       Packets to ${SERVER} leave by eth0 from 10.77.0.2 by the gateway 10.77.0.1`,
  );
  assertStringIncludes(well, "ok       rules     The kernel can be kept from answering, by nftables");
  assertMatch(well, /^ok {7}answer {4}10\.78\.0\.2:45000 answers with this key, in [\d.]+ ms at best$/m);
  assertStringIncludes(well, "ok       mtu       Packets of up to 1500 bytes get there");
  await router.run(["ip", "link", "set", "eth1", "mtu", "1400"]);
  const narrow = await doctor(client);
  assertStringIncludes(narrow, "warning  mtu       Packets of up to 1400 bytes get there");
  assertMatch(narrow, /→ Let KCP have an MTU of at most 13\d\d bytes/);
});

testOnPath(
  "a doctor tells a server that does not run from a port that is blocked, and from another key",
  async (scene) => {
    const { client, server, router, serve, doctor } = scene;
    const silent = await doctor(client);
    assertMatch(silent, /PROBLEM {2}answer {4}The kernel of 10\.78\.0\.2:45000 answers with resets/);
    assertStringIncludes(silent, "problems_found: Found what is wrong: answer");
    await serve();
    assertMatch(
      await doctor(client, { key: "other" }),
      /PROBLEM {2}answer {4}Nothing comes back from .*: the keys differ/,
    );
    await router.run([
      "nft",
      "table ip block { chain c { type filter hook forward priority 0; ip protocol tcp drop; }\n}",
    ]);
    assertMatch(await doctor(client), /PROBLEM {2}answer {4}Nothing comes back from .* the port is blocked/);
    await server.run(["ip", "route", "del", "default"]);
    await client.run(["ip", "route", "del", "default"]);
    assertMatch(await doctor(client), /PROBLEM {2}way {7}.*there is no default route for IPv4/);
  },
);

testOnPath(
  "a doctor on a server says whether its port is guarded, and whether what comes is genuine",
  async (scene) => {
    const { client, server, serve } = scene;
    const listen = { listen: `${PORT}`, to: undefined, watch: "2s" };
    const look = (key: string) =>
      Promise.all([
        runIn(server, "doctor", { ...listen, key }),
        runIn(client, "ping", { to: `${SERVER}:${PORT}`, count: 12, every: "200ms", timeout: "100ms" }),
      ]);
    const [alone] = await look("k");
    assertMatch(alone, /PROBLEM {2}rules {5}Nobody guards port 45000/);
    assertMatch(alone, /PROBLEM {2}arrivals {2}This machine's kernel answers with resets/);
    await serve();
    const [guarded, pings] = await look("k");
    assertMatch(guarded, /ok {7}rules {5}Port 45000 is guarded by nftables/);
    assertMatch(guarded, /ok {7}arrivals {2}\d+ packets came in 2 s, most from 10\.77\.0\.2, all sealed with this key/);
    assertMatch(pings, /^12 of 12 answered, in [\d.]+ to [\d.]+ ms/m);
    const [strange] = await look("other");
    assertMatch(strange, /PROBLEM {2}arrivals {2}.*none sealed with this key/);
  },
);

testOnPath("a dump shows raw packets of a port", async ({ client, server, serve }) => {
  await serve();
  const [dumped] = await Promise.all([
    runIn(server, "dump", { ports: `${PORT}`, count: 2 }),
    runIn(client, "ping", { to: `${SERVER}:${PORT}`, count: 10, every: "200ms" }),
  ]);
  assertMatch(
    dumped,
    /in {2}10\.77\.0\.2:\d+ > 10\.78\.0\.2:45000 TCP PA seq \d+ ack \d+ win \d+, \d+ bytes, opened: KCP \w+ PUSH sn 0/,
  );
  assertMatch(dumped, /out 10\.78\.0\.2:45000 > 10\.77\.0\.2:\d+ TCP \w+ seq/);
});
