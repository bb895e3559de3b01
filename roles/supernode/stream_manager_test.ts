import { assertEquals, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../../edge/metrics.ts";
import { createMemoryQueues } from "../../kv/commands.ts";
import { createMemoryNonces } from "../../kv/nonces.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { memoryStreamPair } from "../../net/memory.ts";
import { TextSocket } from "../../net/text_socket.ts";
import { makeAuthRequest } from "../../protocol/control/auth.ts";
import { AuthLimits } from "../../protocol/control/auth_limits.ts";
import { type ControlMessage, encodeControl, parseControl } from "../../protocol/control/messages.ts";
import { Nonces } from "../../protocol/control/nonces.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { CommandOutbox } from "./command_outbox.ts";
import { StreamManager } from "./stream_manager.ts";

const random = randomOf(crypto);
const primitives = hostPrimitives();
const newIdentity = () => new Identity(generateSecrets(random), primitives);

/** A manager whose stores outlive it. */
class Rig {
  readonly clock = new FakeClock();
  readonly identity = newIdentity();
  readonly metrics = createMetrics();
  readonly nonces = createMemoryNonces(this.clock);
  readonly store = createMemoryQueues(this.clock);
  /** Before a queue is read. */
  beforeLoad = (): Promise<void> => Promise.resolve();
  readonly left: string[] = [];

  readonly revoked = new Set<string>();

  manager(maxStreams = 10): { manager: StreamManager; outbox: CommandOutbox } {
    const { clock, identity, metrics, nonces } = this;
    const shared = { clock, random, log: silentLog, metrics };
    const outbox = new CommandOutbox({
      store: { ...this.store, load: (peerId) => this.beforeLoad().then(() => this.store.load(peerId)) },
      ...shared,
    });
    const limits = new AuthLimits(random);
    const context = {
      identity,
      region: "here",
      primitives,
      nonces: new Nonces(),
      limits,
      wallNow: () => clock.wallNow(),
    };
    const manager = new StreamManager({
      ...shared,
      context,
      outbox,
      nonces,
      lingering: clock,
      maxStreams,
      isRevoked: (peerId) => this.revoked.has(peerId),
      relayToken: () => "token-of-sixteen-characters",
      onJoined() {},
      onLeft: (stream) => this.left.push(stream.machine.peer!.peerId),
      onHeartbeat() {},
      answer: () => Promise.reject(new Error("nothing is asked here")),
    });
    return { manager, outbox };
  }

  authRequest(identity: Identity): ControlMessage {
    const supernodeId = this.identity.peerId;
    return makeAuthRequest(identity, {
      role: "exit",
      region: "here",
      supernodeId,
      timestampMs: this.clock.wallNow(),
      random,
    });
  }
}

/** A peer's end of a stream. */
class Peer {
  readonly #socket: TextSocket;
  readonly #heard: ControlMessage[] = [];
  #wake = () => {};
  readonly closed = Promise.withResolvers<void>();

  constructor(manager: StreamManager, clock: FakeClock) {
    const [near, far] = memoryStreamPair();
    this.#socket = new TextSocket(near, { clock, random });
    this.#socket.start({
      onText: (text) => {
        const parsed = parseControl(text);
        if (parsed.ok) this.#heard.push(parsed.message);
        this.#wake();
      },
      onBinary() {},
      onClose: () => this.closed.resolve(),
    });
    manager.take(far, { first: new Uint8Array(), remoteAddress: "192.0.2.1", settled() {} });
  }

  send(message: ControlMessage): void {
    this.#socket.send(encodeControl(message));
  }

  cut(): void {
    this.#socket[Symbol.dispose]();
  }

  async next(): Promise<ControlMessage> {
    while (this.#heard.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.#heard.shift()!;
  }

  /** Asks to be let in; gives "ok" or why not. */
  async auth(request: ControlMessage): Promise<string> {
    this.send(request);
    const answer = await this.next();
    if (answer.type !== "auth.response") return answer.type;
    return answer.ok ? "ok" : answer.reason;
  }
}

async function closeAll(manager: StreamManager): Promise<void> {
  manager[Symbol.dispose]();
  await manager.closed();
}

Deno.test("of two streams of one identity the newest stays, and the other is told so", async () => {
  const rig = new Rig();
  const { manager } = rig.manager();
  const identity = newIdentity();
  const [first, second] = [new Peer(manager, rig.clock), new Peer(manager, rig.clock)];
  assertEquals(await first.auth(rig.authRequest(identity)), "ok");
  assertEquals(await second.auth(rig.authRequest(identity)), "ok");
  const told = await first.next();
  assertEquals(told.type === "error" && told.code, "replaced");
  await first.closed.promise;
  assertEquals([manager.size, manager.get(identity.peerId) !== undefined], [1, true]);
  await closeAll(manager);
});

Deno.test("a request that was let in is not let in again, not even after a restart", async () => {
  const rig = new Rig();
  const before = rig.manager();
  const request = rig.authRequest(newIdentity());
  assertEquals(await new Peer(before.manager, rig.clock).auth(request), "ok");
  assertEquals(await new Peer(before.manager, rig.clock).auth(request), "replayed");
  await closeAll(before.manager);
  const after = rig.manager();
  assertEquals(await new Peer(after.manager, rig.clock).auth(request), "replayed");
  await closeAll(after.manager);
});

Deno.test("when it is full or drains it says so, and when to come again", async () => {
  const rig = new Rig();
  const { manager } = rig.manager(1);
  assertEquals(await new Peer(manager, rig.clock).auth(rig.authRequest(newIdentity())), "ok");
  assertEquals(await new Peer(manager, rig.clock).auth(rig.authRequest(newIdentity())), "busy");
  manager.drain();
  assertEquals(await new Peer(manager, rig.clock).auth(rig.authRequest(newIdentity())), "draining");
  await closeAll(manager);
});

Deno.test("a peer that is silent for half a minute is dropped", async () => {
  const rig = new Rig();
  const { manager } = rig.manager();
  const identity = newIdentity();
  const peer = new Peer(manager, rig.clock);
  assertEquals(await peer.auth(rig.authRequest(identity)), "ok");
  await rig.clock.advanceAsync(29_000);
  assertEquals(rig.left, []);
  await rig.clock.advanceAsync(3_000);
  assertEquals(rig.left, [identity.peerId]);
  await closeAll(manager);
});

Deno.test("a command waits for its peer, survives a restart, and is told of once it is answered", async () => {
  const rig = new Rig();
  const identity = newIdentity();
  const before = rig.manager();
  void before.outbox.push(identity.peerId, {
    kind: "DISCONNECT",
    commandId: "AAAAAAAAAAAAAAAAAAAAAA",
    payload: { reason: "admin" },
    timeoutMs: 60_000,
  });
  await rig.clock.advanceAsync(1000);
  await closeAll(before.manager);
  const { manager, outbox } = rig.manager();
  await outbox.restore();
  const peer = new Peer(manager, rig.clock);
  assertEquals(await peer.auth(rig.authRequest(identity)), "ok");
  const command = await peer.next();
  assertEquals(command.type === "command" && command.commandId, "AAAAAAAAAAAAAAAAAAAAAA");
  peer.send({ type: "command.result", commandId: "AAAAAAAAAAAAAAAAAAAAAA", status: "applied" });
  peer.send({ type: "ping", sequence: 1 });
  assertEquals((await peer.next()).type, "pong");
  assertEquals(await rig.store.pending(), []);
  await closeAll(manager);
});

Deno.test("of a peer that goes while it is being let in nothing stays behind", async () => {
  const rig = new Rig();
  const { manager, outbox } = rig.manager();
  const loading = Promise.withResolvers<void>();
  const isAsked = new Promise<void>((resolve) => {
    rig.beforeLoad = () => (resolve(), loading.promise);
  });
  const peer = new Peer(manager, rig.clock);
  peer.send(rig.authRequest(newIdentity()));
  await isAsked;
  peer.cut();
  await peer.closed.promise;
  await settle();
  loading.resolve();
  await settle();
  assertEquals([manager.size, outbox.size], [0, 0]);
  await closeAll(manager);
});

Deno.test("a peer that is revoked while it is being let in stays outside", async () => {
  const rig = new Rig();
  const { manager, outbox } = rig.manager();
  const identity = newIdentity();
  rig.beforeLoad = () => (rig.revoked.add(identity.peerId), Promise.resolve());
  assertEquals(await new Peer(manager, rig.clock).auth(rig.authRequest(identity)), "revoked");
  assertEquals([manager.size, outbox.size], [0, 0]);
  await closeAll(manager);
});

Deno.test("a first message of any length beyond the bound is refused and counted, and nothing of it is kept", async () => {
  const rig = new Rig();
  const { manager } = rig.manager();
  for (const chars of [9_000, 70_000, 200_000]) {
    const peer = new Peer(manager, rig.clock);
    const request: ControlMessage = Object.assign(rig.authRequest(newIdentity()), { pad: "x".repeat(chars) });
    assertEquals(await peer.auth(request), "too_large");
  }
  assertStringIncludes(await rig.metrics.text(), 'stream_auth_failures_total{reason="too_large"} 3');
  await closeAll(manager);
});
