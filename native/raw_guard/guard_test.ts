/** What the guard keeps the kernel from doing, seen from another machine. */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { NetLab, type NetNamespace } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { inNamespace } from "../fixtures/in_namespace.ts";
import { openLibc } from "../libc.ts";
import { type GuardOptions, guardPorts, type PortGuard } from "./guard.ts";

const needs = { netns: true, tools: ["ip", "nft", "curl", "iptables-legacy", "ip6tables-legacy"] };
const CLIENT = "10.77.0.1";
const SERVER = "10.77.0.2";
const SERVER6 = "fd77::2";

interface Scene {
  readonly client: NetNamespace;
  readonly server: NetNamespace;
  readonly log: LogCollector;
  /** On the server. */
  guard(options: Partial<GuardOptions>): PortGuard;
}

function testOnLink(name: string, run: (scene: Scene) => void | Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const [client, server] = [await lab.namespace("client"), await lab.namespace("server")];
    await lab.connect(client, `${CLIENT}/24`, server, `${SERVER}/24`);
    for (const [namespace, host] of [[client, 1], [server, 2]] as const) {
      await namespace.run(["ip", "address", "add", `fd77::${host}/64`, "dev", "eth0", "nodad"]);
    }
    using libc = openLibc();
    const log = new LogCollector();
    const clock = clockOf(globalThis);
    const guard = (options: Partial<GuardOptions>) =>
      inNamespace(server, () => guardPorts({ libc, ports: [45_000], side: "server", clock, log, ...options }));
    await run({ client, server, log, guard });
  });
}

/** What curl gives: 7 where it was refused, 28 where nobody answered. */
async function knock(from: NetNamespace, port: number, host = SERVER): Promise<number> {
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/`;
  return (await from.run(["curl", "-s", "--max-time", "0.5", url], { mayFail: true })).code;
}

testOnLink("the kernel is silent on guarded ports, of both families, and as before on others", async (scene) => {
  const { client, server, guard } = scene;
  const before = (await server.run(["nft", "list", "ruleset"])).stdout;
  {
    await using guarded = guard({ ports: [45_000, 45_001, 45_002, 46_000] });
    assertEquals([guarded.ports, guarded.way], [[45_000, 45_001, 45_002, 46_000], "nft"]);
    for (const host of [SERVER, SERVER6]) {
      assertEquals([await knock(client, 45_001, host), await knock(client, 46_000, host)], [28, 28]);
      assertEquals(await knock(client, 45_003, host), 7);
    }
  }
  assertEquals(await knock(client, 45_000), 7);
  assertEquals((await server.run(["nft", "list", "ruleset"])).stdout, before);
});

testOnLink("a port that somebody has is refused, and it is said who", ({ server, guard }) => {
  using _listener = inNamespace(server, () => Deno.listen({ hostname: "127.0.0.1", port: 45_000 }));
  const error = assertThrows(() => guard({}), CulvertError);
  assertEquals(error.code, "port_in_use");
  assertStringIncludes(error.message, `deno (${Deno.pid}) listens on 127.0.0.1:45000`);
});

testOnLink("the kernel chooses a port, and gives it to nobody else", async ({ server, guard, log }) => {
  await using guarded = guard({ ports: [0], side: "client", peer: CLIENT });
  const [port] = guarded.ports;
  assert(port! > 1024);
  assertThrows(() => inNamespace(server, () => Deno.listen({ hostname: SERVER, port: port! })), Deno.errors.AddrInUse);
  assertThrows(() => guard({ ports: [port!] }), CulvertError, "a socket of some process holds it");
  assertEquals(log.lines, []);
});
