/**
 * The "example minimal sequence" of the operational spec, 1 to 11, as processes; and what happens to it when one of them
 * is killed. What WireGuard does in it is done by sealed streams here.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../../testing/program.ts";
import { eventually } from "../../testing/waiting.ts";
import { hello, helloAtLast, isHello, Processes, type RoleProcess } from "../chaos/fixtures/processes.ts";

/** Issue 4: how long a stream may take to work again after its exit was killed. */
const FAILOVER_MS = 1000;

interface Session {
  readonly sessionId: string;
  readonly state: string;
  readonly exitPeerId: string;
}

async function sessionsAt(supernode: RoleProcess): Promise<Session[]> {
  return (await supernode.admin("GET", "/v1/sessions") as { sessions: Session[] }).sessions;
}

async function rolesAt(supernode: RoleProcess): Promise<string[]> {
  const { streams } = await supernode.admin("GET", "/v1/streams") as { streams: { role: string }[] };
  return streams.map(({ role }) => role).sort();
}

/** Base, supernode A in the north, and B in the south. */
async function startSupernodes(processes: Processes) {
  const base = await processes.start("base", "base", ["--listen", "127.0.0.1:0"]);
  const start = (region: string, port: number) => {
    const flags = ["--region", region, "--listen", `127.0.0.1:${port}`, "--base", `http://${base.addresses["listen"]}`];
    return processes.start("supernode", region, flags);
  };
  const ports = { north: freePort(), south: freePort() };
  const a = await start("north", ports.north);
  const b = await start("south", ports.south);
  for (const each of [a, b]) await eventually("registration", async () => !("base" in await each.failing()));
  return { base, a, b, restartA: () => start("north", ports.north) };
}

function startExit(processes: Processes, name: string, at: RoleProcess): Promise<RoleProcess> {
  return processes.start("exit", name, ["--region", "south", "--supernode", at.addresses["supernode"]!]);
}

function startClient(processes: Processes, at: RoleProcess, flags: readonly string[] = []): Promise<RoleProcess> {
  const common = ["--listen", "127.0.0.1:0", "--region", "south", "--supernode", at.addresses["supernode"]!];
  return processes.start("client", "client", [...common, ...flags]);
}

Deno.test("the minimal sequence: base, two supernodes, an exit at B, a client at A, and traffic through A, B and the exit", async (test) => {
  await using processes = new Processes();
  let [a, b, exit, client]: RoleProcess[] = [];
  await test.step("1: base starts, and two supernodes of two regions register", async () => {
    ({ a, b } = await startSupernodes(processes));
  });
  await test.step("2: an exit starts, registers at B, and opens its stream", async () => {
    exit = await startExit(processes, "exit", b!);
    await eventually("the exit's stream", async () => (await rolesAt(b!)).join() === "exit");
  });
  await test.step("3: a client starts, registers at A, and opens its stream", async () => {
    client = await startClient(processes, a!);
    await eventually("the client's stream", async () => (await rolesAt(a!)).join() === "client");
  });
  let page = "";
  await test.step("4 to 6: it asks for an exit in B's region; A asks base, which names B, and B for its exits", async () => {
    page = await helloAtLast(client!.addresses["listen"]!);
    assertEquals((await sessionsAt(a!)).map(({ exitPeerId }) => exitPeerId), [exit!.peerId]);
  });
  await test.step("7 and 8: B pushes SETUP_EXIT to the exit, which applies it and says so", async () => {
    assertStringIncludes(await b!.metrics(), 'command_success_total{kind="SETUP_EXIT"} 1');
    assertStringIncludes(await exit!.metrics(), 'peer_commands_total{kind="SETUP_EXIT",status="applied"} 1');
  });
  await test.step("9 and 10: A and B relay between them, and A has told the client", async () => {
    for (const supernode of [a!, b!]) assertStringIncludes(await supernode.metrics(), "relay_sessions_active 1");
    const [atA, atB] = [await sessionsAt(a!), await sessionsAt(b!)];
    assertEquals(atA.map(({ sessionId, state }) => [sessionId, state]), [[atB[0]!.sessionId, "active"]]);
  });
  await test.step("11: traffic flows through A, B and the exit", () => {
    for (const part of [client!, a!, b!, exit!]) assertStringIncludes(page, part.peerId);
  });
});

Deno.test("G: kill -9 of an exit costs a client in another region less than a second, of its supernode nothing for good", async () => {
  await using processes = new Processes();
  const { a, b, restartA } = await startSupernodes(processes);
  const exits = [await startExit(processes, "one", b), await startExit(processes, "two", b)];
  const proxy = (await startClient(processes, a)).addresses["listen"]!;
  const before = await helloAtLast(proxy);
  const first = exits.find(({ peerId }) => before.includes(peerId))!;
  first.program.crash();
  const killedMs = performance.now();
  const after = await hello(proxy);
  assert(performance.now() - killedMs < FAILOVER_MS, `${performance.now() - killedMs} ms`);
  assert(isHello(after) && exits.some((exit) => exit !== first && after.includes(exit.peerId)), after);
  await a.kill();
  await restartA();
  assert(isHello(await helloAtLast(proxy)));
});

Deno.test("an exit that is killed and loses its memory is told again of its session, which goes on", async () => {
  await using processes = new Processes();
  const { a, b } = await startSupernodes(processes);
  const exit = await startExit(processes, "exit", b);
  // A client that tried the session while the exit is away would leave it: it does so once, before.
  const client = await startClient(processes, a, ["--probe-every", "1h"]);
  const proxy = client.addresses["listen"]!;
  await helloAtLast(proxy);
  await eventually("a probe", async () => (await client.metrics()).includes('client_probes_total{outcome="ok"} 1'));
  const [before] = await sessionsAt(b);
  await exit.kill();
  for await (const { name } of Deno.readDir(exit.stateDir)) {
    if (name.startsWith("exit.kv")) await Deno.remove(`${exit.stateDir}/${name}`);
  }
  const again = await startExit(processes, "exit", b);
  assertEquals(again.peerId, exit.peerId);
  await eventually("the session and the exit's second data link", async () => {
    const said = (await b.log()).trimEnd().split("\n").map((line) => JSON.parse(line));
    const links = said.filter(({ message, holder }) => message === "A data link is open" && holder === "peer");
    return links.length === 2 && said.some(({ message }) => message === "A session was set up again");
  });
  assert(isHello(await hello(proxy)));
  assertEquals((await sessionsAt(b)).map(({ sessionId }) => sessionId), [before!.sessionId]);
});
