/**
 * The control plane as it runs: base, supernodes, exits and clients, each a role with its own state directory, in one
 * process. The letters are those of the steps of the operational spec.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../edge/metrics.ts";
import { type Log, type LogFields, silentLog } from "../protocol/log.ts";
import { parseTarget, writeAll } from "../protocol/stream.ts";
import { role as base } from "../roles/base.ts";
import { role as client } from "../roles/client.ts";
import { role as exit } from "../roles/exit.ts";
import { type Role, type RunningRole, startRole } from "../roles/role.ts";
import { role as supernode } from "../roles/supernode.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const ADMIN_TOKEN = "admin-token-of-this-test";

interface Started {
  readonly role: RunningRole;
  readonly stateDir: string;
  readonly addresses: Readonly<Record<string, string>>;
  /** What its metrics say now. */
  metrics(): Promise<string>;
}

/** Everything that one test starts. */
class Network implements AsyncDisposable {
  readonly #roles: RunningRole[] = [];
  readonly #directories: TempDirectory[] = [];
  readonly #said: { readonly message: string; readonly fields: LogFields }[] = [];
  readonly #wakes = new Set<() => void>();

  startBase(): Promise<Started> {
    return this.#start(base, { listen: "127.0.0.1:0", kv: ":memory:" });
  }

  startSupernode(region: string, settings?: object, stateDir?: string): Promise<Started> {
    const admin = { adminListen: "127.0.0.1:0", adminToken: ADMIN_TOKEN };
    return this.#start(supernode, { region, listen: "127.0.0.1:0", ...admin, ...settings }, stateDir);
  }

  /** Settles when the exit can be given to clients. */
  async startExit(at: Started, region: string, stateDir?: string): Promise<Started & { readonly peerId: string }> {
    const links = this.linkCount();
    const started = await this.#start(exit, { region, supernode: [at.addresses["supernode"]] }, stateDir);
    await this.until(() => this.linkCount() > links);
    const { fields } = this.#said.findLast(({ message }) => message === "A data link is open")!;
    return { ...started, peerId: String(fields["peer_id"]) };
  }

  async startClient(at: Started, settings: object = {}): Promise<Started & { readonly proxy: string }> {
    const probes = { probeEvery: "100ms", probeTimeout: "500ms" };
    const supernodes = [at.addresses["supernode"]];
    const started = await this.#start(client, { listen: "127.0.0.1:0", supernode: supernodes, ...probes, ...settings });
    return { ...started, proxy: started.addresses["listen"]! };
  }

  /** Waits until it holds, looked at whenever something is said. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#wakes.add(resolve));
  }

  hasSaid(message: string, fields: LogFields = {}): boolean {
    return this.#said.some((line) =>
      line.message === message && Object.entries(fields).every(([name, value]) => line.fields[name] === value)
    );
  }

  count(message: string): number {
    return this.#said.filter((line) => line.message === message).length;
  }

  linkCount(): number {
    return this.#said.filter(({ message, fields }) => message === "A data link is open" && fields["holder"] === "peer")
      .length;
  }

  async #start(role: Role, settings: object, stateDir = this.#newDirectory()): Promise<Started> {
    const metrics = createMetrics();
    const running = startRole(role, role.config.parse(settings), { stateDir, metrics, log: this.#log() });
    this.#roles.push(running);
    const { addresses } = await running.ready;
    return { role: running, stateDir, addresses, metrics: () => metrics.text() };
  }

  #log(): Log {
    const say = (message: string, fields: LogFields = {}) => {
      this.#said.push({ message, fields });
      for (const wake of this.#wakes) wake();
      this.#wakes.clear();
    };
    return { ...silentLog, debug: say, info: say, warn: say, error: say };
  }

  #newDirectory(): string {
    const directory = new TempDirectory();
    this.#directories.push(directory);
    return directory.path("state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of this.#roles.reverse()) await role[Symbol.asyncDispose]();
    for (const directory of this.#directories) directory[Symbol.dispose]();
  }
}

/** A supernode's peer id. */
function idOf(supernode: Started): string {
  return new URL(supernode.addresses["supernode"]!).username;
}

/** The page that tells which way it came. */
async function hello(proxy: string): Promise<string> {
  const { host, port } = parseTarget(proxy)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("GET http://hello.culvert/ HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  return await new Response(conn.readable).text();
}

/** Asks the administrators' API. */
// deno-lint-ignore no-explicit-any -- each test knows what it asks for
async function admin(at: Started, method: string, path: string, body?: object): Promise<any> {
  const response = await fetch(`http://${at.addresses["admin"]}${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  assertEquals(response.status, 200, path);
  return await response.json();
}

Deno.test("A to E: a client's traffic leaves at an exit of its supernode, by way of all three", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, peerId);
  const { streams } = await admin(here, "GET", "/v1/streams");
  assertEquals(streams.map(({ role }: { role: string }) => role).sort(), ["client", "exit"]);
  const { sessions } = await admin(here, "GET", "/v1/sessions");
  assertEquals(sessions.map(({ state }: { state: string }) => state), ["active"]);
  const metrics = await here.metrics();
  for (const line of ['command_success_total{kind="SETUP_EXIT"} 1', "relay_sessions_active 1"]) {
    assertStringIncludes(metrics, line);
  }
});

/** Base, a client's supernode in the north and an exit's in the south, which base knows of. */
async function twoRegions(network: Network) {
  const directory = await network.startBase();
  const settings = { base: [`http://${directory.addresses["listen"]}`] };
  const north = await network.startSupernode("north", settings);
  const south = await network.startSupernode("south", settings);
  await network.until(() => network.hasSaid("Base was told", { region: "south" }));
  return { directory, settings, north, south };
}

/** An exit that base knows of. */
async function listedExit(network: Network, at: Started, region: string) {
  const started = await network.startExit(at, region);
  await network.until(() => network.hasSaid("Base was told", { url: `http://${at.addresses["listen"]}`, exits: 1 }));
  return started;
}

Deno.test("D, E: an exit behind another supernode is found through base and reached by way of both", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const { peerId } = await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, { region: "south" });
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, peerId);
  for (const at of [north, south]) {
    const { sessions } = await admin(at, "GET", "/v1/sessions");
    assertEquals(sessions.map(({ state }: { state: string }) => state), ["active"]);
  }
});

Deno.test("D, E: when base is down, what it last said serves, and sessions go on", async () => {
  await using network = new Network();
  const { directory, north, south } = await twoRegions(network);
  await listedExit(network, south, "south");
  const first = await network.startClient(north, { region: "south" });
  await hello(first.proxy);
  await directory.role[Symbol.asyncDispose]();
  assertMatch(await hello(first.proxy), /^HTTP\/1\.[01] 200/);
  const second = await network.startClient(north, { region: "south" });
  assertMatch(await hello(second.proxy), /^HTTP\/1\.[01] 200/);
});

Deno.test("G: when an exit is cut off, the next stream works through another", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const first = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  assertStringIncludes(await hello(proxy), first.peerId);
  const second = await network.startExit(here, "north");
  const startMs = performance.now();
  await first.role[Symbol.asyncDispose]();
  assertStringIncludes(await hello(proxy), second.peerId);
  assert(performance.now() - startMs < 2000);
});

Deno.test("G: when an exit behind another supernode is cut off, the next stream works through another", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const first = await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, { region: "south" });
  assertStringIncludes(await hello(proxy), first.peerId);
  const second = await network.startExit(south, "south");
  await first.role[Symbol.asyncDispose]();
  assertStringIncludes(await hello(proxy), second.peerId);
});

Deno.test("H: when a client leaves, its session ends at both supernodes", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  const out = await listedExit(network, south, "south");
  const { role, proxy } = await network.startClient(north, { region: "south" });
  await hello(proxy);
  assertStringIncludes(await out.metrics(), "exit_sessions_active 1");
  await role.stop();
  await network.until(() => network.count("A session has ended") === 2);
  for (const at of [north, south]) {
    assertEquals((await admin(at, "GET", "/v1/sessions")).total, 0);
  }
});

Deno.test("a session outlives its supernode's restart", async () => {
  await using network = new Network();
  const before = await network.startSupernode("north");
  await network.startExit(before, "north");
  const { proxy } = await network.startClient(before, { probeTimeout: "3s" });
  await hello(proxy);
  const known = (await admin(before, "GET", "/v1/sessions")).sessions[0].sessionId;
  await before.role[Symbol.asyncDispose]();
  const links = network.linkCount();
  const { listen } = before.addresses;
  const after = await network.startSupernode("north", { listen }, before.stateDir);
  assertEquals(after.addresses["supernode"], before.addresses["supernode"]);
  await network.until(() => network.linkCount() === links + 2);
  // The client may notice its link a little later than its supernode does.
  while (!/^HTTP\/1\.[01] 200/.test(await hello(proxy)));
  const { sessions } = await admin(after, "GET", "/v1/sessions");
  assertEquals(sessions.map(({ sessionId }: { sessionId: string }) => sessionId), [known]);
});

Deno.test("a session whose exit does not come back after its supernode's restart goes to another", async () => {
  await using network = new Network();
  const before = await network.startSupernode("north");
  const lost = await network.startExit(before, "north");
  const { proxy } = await network.startClient(before);
  await hello(proxy);
  await before.role[Symbol.asyncDispose]();
  await lost.role[Symbol.asyncDispose]();
  const { listen } = before.addresses;
  const after = await network.startSupernode("north", { listen }, before.stateDir);
  const other = await network.startExit(after, "north");
  await network.until(() => network.hasSaid("Streams leave through an exit", { exit: other.peerId }));
  assertStringIncludes(await hello(proxy), other.peerId);
});

Deno.test("a supernode that is blocked is not gone through any more, live", async () => {
  await using network = new Network();
  const { north, south } = await twoRegions(network);
  await listedExit(network, south, "south");
  const { proxy } = await network.startClient(north, {});
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  const near = await network.startExit(north, "north");
  await admin(north, "POST", "/v1/blocks", { kind: "supernode", peerId: idOf(south), reason: "abuse" });
  await network.until(() => network.hasSaid("Streams leave through an exit", { exit: near.peerId }));
  assertStringIncludes(await hello(proxy), near.peerId);
});

Deno.test("an administrator revokes a peer: it is thrown out at once, and the audit log says so", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  await hello(proxy);
  await admin(here, "POST", "/v1/blocks", { kind: "peer", peerId, reason: "abuse" });
  await network.until(() => network.hasSaid("There is no control stream", { reason: "revoked" }));
  const { streams } = await admin(here, "GET", "/v1/streams");
  assertEquals(streams.map(({ role }: { role: string }) => role), ["client"]);
  const { entries } = await admin(here, "GET", "/v1/audit");
  assertEquals(entries.map(({ action, subject }: { action: string; subject: string }) => [action, subject]), [
    ["revoke", peerId],
  ]);
});

Deno.test("an administrator pushes a command, and sees what became of it", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const command = { kind: "DISCONNECT", payload: { reason: "admin" }, timeoutMs: 5000 };
  const outcome = await admin(here, "POST", "/v1/commands", { peerId, command });
  assertEquals(outcome.ok, true);
});

Deno.test("without the administrators' token nothing is told", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const response = await fetch(`http://${here.addresses["admin"]}/v1/peers`, {
    headers: { authorization: "Bearer x" },
  });
  assertEquals(response.status, 401);
  await response.body?.cancel();
});

Deno.test("a drained supernode lets nobody in, and its peers go to the other of its region", async () => {
  await using network = new Network();
  const { settings, north } = await twoRegions(network);
  const other = await network.startSupernode("north", settings);
  await listedExit(network, other, "north");
  await network.startExit(north, "north");
  const links = network.linkCount();
  await admin(north, "POST", "/v1/drain", { leaveWithinMs: 1000 });
  await network.until(() => network.linkCount() > links);
  assertEquals((await admin(other, "GET", "/v1/streams")).total, 2);
  assertEquals((await admin(north, "GET", "/v1/streams")).total, 0);
});
