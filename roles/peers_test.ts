/**
 * An exit and a client as they run, each with its state directory, at a supernode of a few lines.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FakeSupernode } from "../net/fixtures/fake_supernode.ts";
import type { CommandOrder, SessionOffer } from "../protocol/control/commands.ts";
import type { AuthenticatedPeer } from "../protocol/control/stream_server.ts";
import { encodeBase64Url } from "../protocol/encoding.ts";
import { parseTarget, writeAll } from "../protocol/stream.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { Changes } from "../testing/waiting.ts";
import { role as client } from "./client.ts";
import { role as exit } from "./exit.ts";
import { type RunningRole, startRole } from "./role.ts";

const newId = () => encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));

/** A fake supernode that sets a session up at whatever exit is there, as a real one does. */
class Network implements AsyncDisposable {
  readonly supernode = new FakeSupernode();
  readonly peers = new Map<string, AuthenticatedPeer>();
  readonly ended: string[] = [];
  readonly #changes = new Changes();
  readonly #roles: RunningRole[] = [];
  readonly #directories: TempDirectory[] = [];

  constructor() {
    this.supernode.onAuth = () => this.#changes.tell();
    this.supernode.onLink = () => this.#changes.tell();
    this.supernode.answer = async (request, peer) => {
      const { requestId } = request;
      if (request.what === "exit") {
        const session = await this.setUp(peer.peerId, request.wish.exclude);
        if (session) return { type: "info.response", requestId, what: "exit", session };
        return { type: "info.response", requestId, what: "failed", reason: "no_exit" };
      }
      if (request.what === "end_session") this.ended.push(request.sessionId);
      this.#changes.tell();
      return request.what === "end_session"
        ? { type: "info.response", requestId, what: "end_session" }
        : { type: "info.response", requestId, what: "sessions", sessionIds: [...this.supernode.sessions.keys()] };
    };
  }

  /** Waits until it holds, looked at whenever something happens at the supernode. */
  async until(holds: () => boolean): Promise<void> {
    await this.#changes.until(holds, String(holds));
  }

  peer(peerId: string): AuthenticatedPeer {
    return this.supernode.auths.findLast(({ peer }) => peer.peerId === peerId)!.peer;
  }

  /** A session for the client at an exit with a data link. */
  async setUp(clientPeerId: string, exclude: readonly string[] = []): Promise<SessionOffer | undefined> {
    const keys = this.peer(clientPeerId);
    for (const peer of this.supernode.auths.map(({ peer }) => peer)) {
      const { peerId } = peer;
      if (peer.role !== "exit" || exclude.includes(peerId) || !this.supernode.hasLink(peerId)) continue;
      const sessionId = newId();
      const expiresAtMs = Date.now() + 600_000;
      const done = await this.supernode.command(peerId, {
        kind: "SETUP_EXIT",
        commandId: newId(),
        sessionId,
        timeoutMs: 5_000,
        payload: { clientPeerId, clientWireguardKey: keys.wireguardKey, clientProof: keys, expiresAtMs },
      });
      if (done.kind !== "done") continue;
      this.supernode.sessions.set(sessionId, peerId);
      return { sessionId, exit: peer, region: peer.region, expiresAtMs };
    }
    return undefined;
  }

  async startExit(stateDir = this.#newDirectory()): Promise<{ role: RunningRole; peerId: string; stateDir: string }> {
    const { role, peerId } = await this.#start(exit, { region: "there" }, stateDir);
    await this.until(() => this.supernode.hasLink(peerId));
    return { role, peerId, stateDir };
  }

  async startClient(stateDir = this.#newDirectory()): Promise<{ role: RunningRole; peerId: string; proxy: string }> {
    const settings = { listen: "127.0.0.1:0", probeEvery: "100ms", probeTimeout: "500ms" };
    const { role, info, peerId } = await this.#start(client, settings, stateDir);
    return { role, peerId, proxy: info.addresses["listen"]! };
  }

  async #start(role: typeof exit | typeof client, settings: object, stateDir: string) {
    const known = this.supernode.auths.length;
    const config = role.config.parse({ supernode: [this.supernode.setting], ...settings });
    const running = startRole(role as typeof exit, config as never, { stateDir });
    this.#roles.push(running);
    const info = await running.ready;
    await this.until(() => this.supernode.auths.length > known);
    return { role: running, info, peerId: this.supernode.auths[known]!.peer.peerId };
  }

  #newDirectory(): string {
    const directory = new TempDirectory();
    this.#directories.push(directory);
    return directory.path("state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of this.#roles.reverse()) await role[Symbol.asyncDispose]();
    await this.supernode[Symbol.asyncDispose]();
    for (const directory of this.#directories) directory[Symbol.dispose]();
  }
}

/** The page that tells which way it came. */
async function hello(proxy: string): Promise<string> {
  const { host, port } = parseTarget(proxy)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("GET http://hello.culvert/ HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  return await new Response(conn.readable).text();
}

Deno.test("B, D, E: a client's traffic leaves at an exit that no one can reach, and the page names both", async () => {
  await using network = new Network();
  const { peerId: exitId } = await network.startExit();
  const { proxy, peerId: clientId } = await network.startClient();
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  for (const part of [clientId, exitId]) assertStringIncludes(page, part);
});

Deno.test("G: when the exit is cut off, the next stream works through another one", async () => {
  await using network = new Network();
  const first = await network.startExit();
  const { proxy } = await network.startClient();
  assertStringIncludes(await hello(proxy), first.peerId);
  const second = await network.startExit();
  await first.role[Symbol.asyncDispose]();
  const startMs = performance.now();
  assertStringIncludes(await hello(proxy), second.peerId);
  assert(performance.now() - startMs < 1000);
});

/** The order to go from one session to another. */
function rotation(sessionId: string, next: SessionOffer): CommandOrder {
  const payload = { reason: "better_exit", next, drainMs: 10_000 } as const;
  return { kind: "ROTATE_PEER", commandId: newId(), sessionId, timeoutMs: 5_000, payload };
}

Deno.test("G: ROTATE_PEER brings new streams to another exit, while an old stream goes on", async () => {
  await using network = new Network();
  const { supernode } = network;
  const first = await network.startExit();
  const { proxy, peerId } = await network.startClient();
  const { host, port } = parseTarget(proxy)!;
  using old = await Deno.connect({ hostname: host, port });
  await writeAll(old, new TextEncoder().encode("CONNECT hello.culvert:80 HTTP/1.1\r\n\r\n"));
  await old.read(new Uint8Array(1024));
  const second = await network.startExit();
  const [present] = supernode.sessions.keys();
  const next = await network.setUp(peerId, [first.peerId]);
  const done = await supernode.command(peerId, rotation(present!, next!));
  assertEquals(done.kind, "done");
  assertStringIncludes(await hello(proxy), second.peerId);
  await writeAll(old, new TextEncoder().encode("GET / HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  assertStringIncludes(await new Response(old.readable).text(), first.peerId);
  await network.until(() => network.ended.includes(present!));
});

Deno.test("ROTATE_PEER is refused for a session that is not in use, and for keys that are not the exit's", async () => {
  await using network = new Network();
  const { supernode } = network;
  const first = await network.startExit();
  const { proxy, peerId } = await network.startClient();
  const page = await hello(proxy);
  const [present] = supernode.sessions.keys();
  const next = (await network.setUp(peerId))!;
  const unknown = await supernode.command(peerId, rotation(newId(), next));
  assertEquals(unknown.kind === "failed" && unknown.result?.code, "unknown_session");
  const swapped = { ...next, exit: { ...next.exit, wireguardKey: network.peer(peerId).wireguardKey } };
  const refused = await supernode.command(peerId, rotation(present!, swapped));
  assertEquals(refused.kind === "failed" && refused.result?.code, "unauthorized");
  assertStringIncludes(page, first.peerId);
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
});

Deno.test("an exit that restarts serves the sessions it had, and tells what it has done", async () => {
  await using network = new Network();
  const { supernode } = network;
  const before = await network.startExit();
  const { proxy, peerId } = await network.startClient();
  await hello(proxy);
  const older = (await network.setUp(peerId))!;
  await before.role[Symbol.asyncDispose]();
  const after = await network.startExit(before.stateDir);
  assertEquals(after.peerId, before.peerId);
  assertEquals(supernode.auths.findLast(({ peer }) => peer.role === "exit")!.lastSequence, 2);
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  // The one it had, unless a probe has come while the exit was away.
  const isInUse = (id: string) => id !== older.sessionId && !network.ended.includes(id);
  const done = await supernode.command(peerId, rotation([...supernode.sessions.keys()].findLast(isInUse)!, older));
  assertEquals(done.kind, "done");
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
});

Deno.test("H: DISCONNECT ends a session at the exit, and the client gets another", async () => {
  await using network = new Network();
  const { supernode } = network;
  const { peerId } = await network.startExit();
  const { proxy } = await network.startClient();
  await hello(proxy);
  const [sessionId] = supernode.sessions.keys();
  const order = { kind: "DISCONNECT", sessionId: sessionId!, timeoutMs: 5_000, payload: { reason: "admin" } } as const;
  const done = await supernode.command(peerId, { ...order, commandId: newId() });
  assertEquals(done.kind, "done");
  assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  assertEquals(supernode.sessions.size, 2);
});

Deno.test("H: a client that stops ends its session; one that starts ends what an earlier one left", async () => {
  await using network = new Network();
  await network.startExit();
  const { role, proxy } = await network.startClient();
  await hello(proxy);
  const [sessionId] = network.supernode.sessions.keys();
  await role.stop();
  await network.until(() => network.ended.includes(sessionId!));
  const left = newId();
  network.supernode.sessions.set(left, "an exit");
  await network.startClient();
  await network.until(() => network.ended.includes(left));
});

Deno.test("C: a control stream that is lost comes back, and streams do not notice", async () => {
  await using network = new Network();
  const { supernode } = network;
  const exit = await network.startExit();
  const { proxy, peerId } = await network.startClient();
  await hello(proxy);
  const known = supernode.auths.length;
  supernode.cutControl(peerId);
  assertStringIncludes(await hello(proxy), exit.peerId);
  await network.until(() => supernode.auths.length > known);
  assertStringIncludes(await hello(proxy), exit.peerId);
  assertEquals(supernode.sessions.size, 1);
});

Deno.test("a data link that is cut is made again with a new token", async () => {
  await using network = new Network();
  const { supernode } = network;
  const exit = await network.startExit();
  const { proxy, peerId } = await network.startClient();
  await hello(proxy);
  const linked = new Promise<void>((resolve) => {
    supernode.onLink = (linkedId) => linkedId === peerId && resolve();
  });
  supernode.cutLink(peerId);
  assertStringIncludes(await hello(proxy), exit.peerId);
  await linked;
  assertStringIncludes(await hello(proxy), exit.peerId);
  assertEquals(supernode.sessions.size, 1);
});

Deno.test("a stream asked for in the instant a link or session is cut waits for the next, however often they are", async () => {
  await using network = new Network();
  const { supernode } = network;
  const exit = await network.startExit();
  const { proxy, peerId } = await network.startClient();
  await hello(proxy);
  const disconnect = (to: string, sessionId: string) => {
    const order = { kind: "DISCONNECT", sessionId, timeoutMs: 5_000, payload: { reason: "admin" } } as const;
    return supernode.command(to, { ...order, commandId: newId() });
  };
  const cuts: (() => unknown)[] = [
    () => supernode.cutLink(peerId),
    () => supernode.cutLink(exit.peerId),
    () => disconnect(exit.peerId, [...supernode.sessions.keys()].at(-1)!),
    () => disconnect(peerId, [...supernode.sessions.keys()].at(-1)!),
    () => supernode.cutControl(peerId),
  ];
  for (const cut of [...cuts, ...cuts]) {
    const pages = [hello(proxy), hello(proxy)];
    const done = cut();
    pages.push(hello(proxy), hello(proxy));
    // One that was open already is cut like any other.
    for (const page of await Promise.all(pages)) assertMatch(page, /^HTTP\/1\.[01] (200|502 .*connection_terminated)/s);
    await done;
    assertMatch(await hello(proxy), /^HTTP\/1\.[01] 200/);
  }
});

Deno.test("RELAY_UPDATE takes a client and its data link to another supernode", async () => {
  await using network = new Network();
  await using other = new FakeSupernode();
  const { peerId } = await network.startClient();
  const linked = new Promise<string>((resolve) => other.onLink = resolve);
  network.supernode.command(peerId, {
    kind: "RELAY_UPDATE",
    commandId: newId(),
    timeoutMs: 5_000,
    payload: { reason: "drain", supernodes: [other.address], leaveWithinMs: 100 },
  });
  assertEquals(await linked, peerId);
  assertEquals(other.auths.map(({ peer }) => peer.role), ["client"]);
});
