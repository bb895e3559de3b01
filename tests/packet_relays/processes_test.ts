/** Transfers over packet relays that are killed and started again, or of which there are several. */

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { clockOf } from "../../protocol/clock.ts";
import { parseTarget } from "../../protocol/stream.ts";
import { parseRouteHop, type RouteHop } from "../../protocol/sealed_route/access.ts";
import { eventually } from "../../testing/waiting.ts";
import { Processes, type RoleProcess } from "../chaos/fixtures/processes.ts";
import { NatBox } from "./fixtures/nat_box.ts";
import { EchoServer, RoutedClient } from "./fixtures/routed_transfer.ts";

const MAIN = fromFileUrl(new URL("../../roles/main.ts", import.meta.url));
const RECOVERY_MS = 5000;
const clock = clockOf(globalThis);

/** A relay with the key of that name, which leads anywhere on this machine. */
async function startRelay(
  processes: Processes,
  { name = "relay", key = "key", listen = "127.0.0.1:0", flags = [] as readonly string[] } = {},
): Promise<RoleProcess> {
  return await processes.start("relay-packets", name, [
    ...["--key-file", processes.path(key), "--client", "alice", "--allow", "127.0.0.0/8", "--listen", listen],
    ...flags,
  ]);
}

/** What the client of that key is given, as the command line says it. */
async function accessOf(processes: Processes, addresses: string, key = "key"): Promise<RouteHop> {
  const args = ["run", "-A", MAIN, "relay-packets", "--key-file", processes.path(key), "--show", "alice"];
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--advertise", addresses.split(",")[0]!],
  }).output();
  const hop = parseRouteHop(new TextDecoder().decode(stdout).trim())!;
  const more = parseRouteHop(`${"A".repeat(43)}@${addresses}`)!.addresses;
  return { ...hop, addresses: more };
}

Deno.test("a relay killed in the middle of a transfer and started again loses only what was under way", async () => {
  await using processes = new Processes();
  const first = await startRelay(processes);
  const listen = first.addresses.listen!;
  await using server = await EchoServer.open();
  await using client = await RoutedClient.open([await accessOf(processes, listen)], server.port);
  const carried = client.carry(64 << 20);
  await eventually("some of it has come back", () => client.echoedBytes > 4 << 20);
  await first.kill();
  const again = await startRelay(processes, { name: "again", listen });
  const [upMs, before] = [clock.now(), client.echoedBytes];
  await eventually("it goes on", () => client.echoedBytes > before + (1 << 20));
  assertLess(clock.now() - upMs, RECOVERY_MS);
  await carried;
  assertEquals(client.echoedBytes, 64 << 20);
  assertEquals(server.clients.size, 1);
  await eventually("it counts", async () => /packet_relay_packets_total [1-9]\d{3}/.test(await again.metrics()));
  assertMatch(await again.metrics(), /packet_relay_dropped_total\{reason="foreign"\} 0/);
});

Deno.test("two relays with one key share a port, and when one is killed the other has it all", async () => {
  await using processes = new Processes();
  const first = await startRelay(processes, { name: "first", flags: ["--share-port"] });
  const listen = first.addresses.listen!;
  const second = await startRelay(processes, { name: "second", listen, flags: ["--share-port"] });
  await using server = await EchoServer.open();
  await using clients = new AsyncDisposableStack();
  const relay = await accessOf(processes, listen);
  const all: RoutedClient[] = [];
  for (let count = 0; count < 16; count++) all.push(clients.use(await RoutedClient.open([relay], server.port)));
  const carried = Promise.all(all.map((client) => client.carry(4 << 20)));
  await eventually("all of them get something", () => all.every(({ echoedBytes }) => echoedBytes > 100_000));
  for (const relay of [first, second]) {
    await eventually(
      "both pass packets on",
      async () => /packet_relay_packets_total [1-9]/.test(await relay.metrics()),
    );
  }
  await first.kill();
  await carried;
  assert(all.every(({ echoedBytes }) => echoedBytes === 4 << 20));
  assertEquals(server.clients.size, 16);
});

Deno.test("through three relays, and when one of them is gone for good, through another with its key", async () => {
  await using processes = new Processes();
  const relays = await Promise.all([
    startRelay(processes, { name: "one", key: "key-1" }),
    startRelay(processes, { name: "two", key: "key-2" }),
    startRelay(processes, { name: "three", key: "key-3" }),
    startRelay(processes, { name: "one-too", key: "key-1" }),
  ]);
  const at = relays.map(({ addresses }) => addresses.listen!);
  const hops = [
    await accessOf(processes, `${at[0]},${at[3]}`, "key-1"),
    await accessOf(processes, at[1]!, "key-2"),
    await accessOf(processes, at[2]!, "key-3"),
  ];
  await using server = await EchoServer.open();
  await using client = await RoutedClient.open(hops, server.port);
  const carried = client.carry(24 << 20);
  await eventually("some of it has come back", () => client.echoedBytes > 1 << 20);
  await relays[0]!.kill();
  const [killedMs, before] = [clock.now(), client.echoedBytes];
  await eventually("it goes on", () => client.echoedBytes > before + (1 << 19));
  assertLess(clock.now() - killedMs, RECOVERY_MS);
  await carried;
  assertEquals(client.echoedBytes, 24 << 20);
});

Deno.test("a client whose NAT gives it another port goes on within seconds, known by the name it had", async () => {
  await using processes = new Processes();
  const relay = await startRelay(processes);
  await using nat = new NatBox(parseTarget(relay.addresses.listen!)!);
  await using server = await EchoServer.open();
  await using client = await RoutedClient.open([await accessOf(processes, nat.address)], server.port);
  const carried = client.carry(16 << 20);
  await eventually("some of it has come back", () => client.echoedBytes > 1 << 20);
  nat.rebind();
  const [changedMs, before] = [clock.now(), client.echoedBytes];
  await eventually("it goes on", () => client.echoedBytes > before + (1 << 19));
  assertLess(clock.now() - changedMs, RECOVERY_MS);
  await carried;
  assertEquals(server.clients.size, 1);
  await eventually("it counts", async () => /reason="stranger"\} [1-9]/.test(await relay.metrics()));
});
