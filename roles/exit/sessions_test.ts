import { assertEquals, assertRejects } from "@std/assert";
import { createKvServedSessions } from "../../kv/served_sessions.ts";
import { hostCrypto } from "../../net/host_aead.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { SessionServer } from "../../net/session_server.ts";
import { SlabPool } from "../../net/slab_pool.ts";
import type { Command } from "../../protocol/control/commands.ts";
import { encodeBase64, encodeBase64Url } from "../../protocol/encoding.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { type IpAddress, parseIp } from "../../protocol/ip.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { FakePackets } from "./packets/fixtures/fake_packets.ts";
import { exitHandlers, type ExitSessionsOptions, restoreSessions } from "./sessions.ts";

type SetupExit = Extract<Command, { kind: "SETUP_EXIT" }>;
type Disconnect = Extract<Command, { kind: "DISCONNECT" }>;

const random = randomOf(crypto);
const primitives = hostPrimitives();
const client = new Identity(generateSecrets(random), primitives);
const newId = () => encodeBase64Url(random.fill(new Uint8Array(16)));
const forever = new AbortController().signal;

/** An exit's sessions, over a store that outlives them. */
class Exit implements Disposable {
  readonly clock: FakeClock;
  readonly options: ExitSessionsOptions;
  readonly server: SessionServer;

  constructor(kv: Deno.Kv, clock: FakeClock, options: Partial<ExitSessionsOptions> & { maxSessions?: number } = {}) {
    this.clock = clock;
    const keys = new Identity(generateSecrets(random), primitives);
    this.server = new SessionServer({
      local: { privateKey: keys.secrets().wireguardKey, publicKey: keys.wireguardPublicKey },
      onward: { dial: () => Promise.reject(new DialError("failed", "nowhere")), close() {}, [Symbol.dispose]() {} },
      at: "exit",
      crypto: hostCrypto(),
      random,
      clock,
      slabs: new SlabPool(),
      log: silentLog,
      metrics: noMetrics,
      limits: { maxSessions: options.maxSessions ?? 10 },
    });
    this.options = {
      server: this.server,
      store: createKvServedSessions(kv, clock, { space: "exit" }),
      primitives,
      network: undefined,
      clock,
      log: silentLog,
      supernodeId: () => client.peerId,
      isDraining: () => false,
      ...options,
    };
  }

  async setUp(command: SetupExit): Promise<void> {
    await exitHandlers(this.options).SETUP_EXIT!.apply(command, forever);
  }

  async disconnect(sessionId?: string): Promise<void> {
    const command: Disconnect = {
      ...envelope(this.clock),
      kind: "DISCONNECT",
      ...(sessionId !== undefined && { sessionId }),
      payload: { reason: "admin" },
    };
    await exitHandlers(this.options).DISCONNECT!.apply(command, forever);
  }

  /** How many a new process would serve. */
  async keptCount(): Promise<number> {
    return (await this.options.store.load()).length;
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}

function envelope(clock: FakeClock) {
  const issuedAtMs = clock.wallNow();
  return { type: "command", commandId: newId(), sequence: 1, issuedAtMs, deadlineAtMs: issuedAtMs + 5_000 } as const;
}

function setupOf(clock: FakeClock, payload: Partial<SetupExit["payload"]> = {}, who = client): SetupExit {
  const { peerId, publicKey, wireguardKey, signature } = who.wireguardBinding();
  return {
    ...envelope(clock),
    kind: "SETUP_EXIT",
    sessionId: newId(),
    payload: {
      clientPeerId: peerId,
      clientWireguardKey: encodeBase64(wireguardKey),
      clientProof: { publicKey: encodeBase64(publicKey), wireguardSignature: encodeBase64(signature) },
      expiresAtMs: clock.wallNow() + 60_000,
      ...payload,
    },
  };
}

async function refusal(exit: Exit, command: SetupExit): Promise<string> {
  return (await assertRejects(() => exit.setUp(command), CulvertError)).code;
}

Deno.test("sessions that were set up are served again by the next process, those that were ended are not", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using exit = new Exit(kv, clock);
  const [kept, ended] = [setupOf(clock), setupOf(clock)];
  await exit.setUp(kept);
  await exit.setUp(ended);
  await exit.disconnect(ended.sessionId);
  await exit.disconnect(ended.sessionId);
  using next = new Exit(kv, clock);
  await restoreSessions(next.options);
  assertEquals([exit.server.sessionCount, next.server.sessionCount], [1, 1]);
  await next.disconnect();
  assertEquals([next.server.sessionCount, await next.keptCount()], [0, 0]);
});

Deno.test("a renewal moves the end of a session that is served, and of no other", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using exit = new Exit(kv, clock);
  const command = setupOf(clock);
  const laterMs = clock.wallNow() + 600_000;
  const renewal = { ...command, payload: { ...command.payload, expiresAtMs: laterMs, renews: true } };
  assertEquals(await refusal(exit, renewal), "unknown_session");
  await exit.setUp(command);
  await exit.setUp(renewal);
  assertEquals([exit.server.expiryOf(command.sessionId), await exit.keptCount()], [laterMs, 1]);
  // One that a kill has interrupted leaves the session as it is.
  await exitHandlers(exit.options).SETUP_EXIT!.undo!(renewal);
  assertEquals([exit.server.sessionCount, await exit.keptCount()], [1, 1]);
});

Deno.test("a renewal that cannot be kept leaves the session as it was", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using exit = new Exit(kv, clock);
  const command = setupOf(clock);
  await exit.setUp(command);
  const { store } = exit.options;
  const full = { ...store, save: () => Promise.reject(new CulvertError("full", "The disk is full")) };
  const handler = exitHandlers({ ...exit.options, store: full }).SETUP_EXIT!;
  const payload = { ...command.payload, expiresAtMs: clock.wallNow() + 600_000, renews: true };
  await assertRejects(async () => await handler.apply({ ...command, payload }, forever), CulvertError, "full");
  assertEquals(exit.server.expiryOf(command.sessionId), command.payload.expiresAtMs);
});

Deno.test("a session that was half set up leaves nothing when it is undone", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using exit = new Exit(kv, clock);
  const command = setupOf(clock);
  await exit.setUp(command);
  await exitHandlers(exit.options).SETUP_EXIT!.undo!(command);
  assertEquals([exit.server.sessionCount, await exit.keptCount()], [0, 0]);
});

Deno.test("an exit that has room for fewer than before serves as many as it can", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using exit = new Exit(kv, clock);
  for (let count = 0; count < 3; count++) await exit.setUp(setupOf(clock));
  using smaller = new Exit(kv, clock, { maxSessions: 2 });
  await restoreSessions(smaller.options);
  assertEquals([smaller.server.sessionCount, await smaller.keptCount()], [2, 2]);
});

Deno.test("a client whose key is not shown to be its own is not served", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const network = { networkPublicKey: new Uint8Array(32) };
  using open = new Exit(kv, clock);
  using closed = new Exit(kv, clock, { network });
  const stranger = encodeBase64(new Identity(generateSecrets(random), primitives).wireguardPublicKey);
  const unproven = setupOf(clock);
  delete unproven.payload.clientProof;
  assertEquals(await refusal(open, setupOf(clock, { clientWireguardKey: stranger })), "bad_binding");
  assertEquals(await refusal(closed, unproven), "no_proof");
  assertEquals(await refusal(closed, setupOf(clock)), "no_certificate");
  assertEquals([open.server.sessionCount, closed.server.sessionCount, await open.keptCount()], [0, 0, 0]);
});

Deno.test("an exit that is full, leaving, or asked too late says so and keeps nothing", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using full = new Exit(kv, clock, { maxSessions: 1 });
  using leaving = new Exit(kv, clock, { isDraining: () => true });
  assertEquals(await refusal(full, setupOf(clock, { expiresAtMs: clock.wallNow() })), "unauthorized");
  await full.setUp(setupOf(clock));
  assertEquals(await refusal(full, setupOf(clock)), "busy");
  assertEquals(await refusal(leaving, setupOf(clock)), "draining");
  assertEquals(await full.keptCount(), 1);
});

Deno.test("a session that ends while the store does not work is served no longer, nor after a restart", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const store = createKvServedSessions(kv, clock, { space: "exit" });
  let isFull = false;
  const failing = {
    ...store,
    remove: (sessionId: string) =>
      isFull ? Promise.reject(new CulvertError("store_full", "no room")) : store.remove(sessionId),
  };
  using exit = new Exit(kv, clock, { store: failing });
  const command = setupOf(clock);
  await exit.setUp(command);
  isFull = true;
  const ended = exit.disconnect(command.sessionId);
  await clock.advanceAsync(5_000);
  assertEquals([exit.server.sessionCount, await exit.keptCount()], [0, 1]);
  isFull = false;
  await clock.advanceAsync(1_000);
  await ended;
  assertEquals(await exit.keptCount(), 0);
});

const RELAY = "192.0.2.1:40000";
const wanted = (clock: FakeClock, more: Partial<SetupExit["payload"]> = {}) =>
  setupOf(clock, { packets: { relay: RELAY }, ...more });

Deno.test("a session that carries packets is answered with what its client gets, and is taken up by the next process", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const { service, peers } = new FakePackets(clock);
  using exit = new Exit(kv, clock, { packets: service, endpoint: "exit.example:51820" });
  const command = wanted(clock, { allowedIps: ["10.201.7.7/32"] });
  const found = await exitHandlers(exit.options).SETUP_EXIT!.apply(command, forever);
  const grant = { addresses: ["10.201.7.7/32"], gateways: ["10.201.0.1"], dns: ["10.201.0.1"], mtu: 1420 };
  assertEquals(found, { packets: grant, endpoint: "exit.example:51820" });
  assertEquals((await exit.options.store.load())[0]?.packets, { relay: RELAY, grant });
  const again = new FakePackets(clock);
  using next = new Exit(kv, clock, { packets: again.service });
  assertEquals(await restoreSessions(next.options), []);
  assertEquals([next.server.sessionCount, again.peers], [1, peers]);
  await next.disconnect(command.sessionId);
  assertEquals([next.server.sessionCount, again.peers.size, await next.keptCount()], [0, 0, 0]);
});

Deno.test("a client that has signed another's key cannot move its packets, nor after a restart", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const { service, peers } = new FakePackets(clock);
  using exit = new Exit(kv, clock, { packets: service });
  await exit.setUp(wanted(clock));
  const before = structuredClone(peers);
  const thief = new Identity({ ...generateSecrets(random), wireguardKey: client.secrets().wireguardKey }, primitives);
  const theft = setupOf(clock, { packets: { relay: "203.0.113.6:6" } }, thief);
  assertEquals([await refusal(exit, theft), peers, exit.server.sessionCount], ["key_in_use", before, 1]);
  const again = new FakePackets(clock);
  using next = new Exit(kv, clock, { packets: again.service });
  await restoreSessions(next.options);
  assertEquals([await refusal(next, theft), again.peers, await next.keptCount()], ["key_in_use", before, 1]);
});

Deno.test("a renewal keeps what the session's packets were granted, also in the store", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const { service, told } = new FakePackets(clock);
  using exit = new Exit(kv, clock, { packets: service });
  const command = wanted(clock);
  await exit.setUp(command);
  const [before] = await exit.options.store.load();
  const changes = told.length;
  const expiresAtMs = clock.wallNow() + 600_000;
  await exit.setUp({ ...command, payload: { ...command.payload, expiresAtMs, renews: true } });
  assertEquals(await exit.options.store.load(), [{ ...before!, expiresAtMs }]);
  assertEquals(told.length, changes);
});

Deno.test("a session that expires while its packets are let in leaves nothing", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const { promise, resolve } = Promise.withResolvers<IpAddress[]>();
  const { service, peers } = new FakePackets(clock, { lookup: () => promise });
  using exit = new Exit(kv, clock, { packets: service });
  const expiresAtMs = clock.wallNow() + 1_000;
  const refused = refusal(exit, wanted(clock, { packets: { relay: "slow.example:1" }, expiresAtMs }));
  await clock.advanceAsync(1_000);
  resolve([parseIp("192.0.2.1")!]);
  assertEquals(await refused, "expired");
  assertEquals([peers.size, exit.server.sessionCount, await exit.keptCount()], [0, 0, 0]);
});

Deno.test("packets that cannot be let in leave no session", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const fake = new FakePackets(clock);
  using streams = new Exit(kv, clock);
  using exit = new Exit(kv, clock, { packets: fake.service });
  assertEquals(await refusal(streams, wanted(clock)), "unsupported_packets");
  assertEquals(await refusal(exit, wanted(clock, { packets: { relay: "nowhere.example:1" } })), "bad_relay");
  fake.isBroken = true;
  await assertRejects(() => exit.setUp(wanted(clock)), Error, "broken");
  fake.isBroken = false;
  const { store } = exit.options;
  const full = { ...store, save: () => Promise.reject(new CulvertError("full", "The disk is full")) };
  const handler = exitHandlers({ ...exit.options, store: full }).SETUP_EXIT!;
  await assertRejects(async () => await handler.apply(wanted(clock), forever), CulvertError, "full");
  const half = wanted(clock);
  await exit.setUp(half);
  await exitHandlers(exit.options).SETUP_EXIT!.undo!(half);
  assertEquals([exit.server.sessionCount, streams.server.sessionCount, fake.peers.size, await exit.keptCount()], [
    0,
    0,
    0,
    0,
  ]);
});

Deno.test("packets are shut out at once, also while the store does not work", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const { service, peers } = new FakePackets(clock);
  const store = createKvServedSessions(kv, clock, { space: "exit" });
  let isFull = true;
  const failing = {
    ...store,
    remove: (sessionId: string) =>
      isFull ? Promise.reject(new CulvertError("store_full", "no room")) : store.remove(sessionId),
  };
  using exit = new Exit(kv, clock, { store: failing, packets: service });
  const command = wanted(clock);
  await exit.setUp(command);
  const ended = exit.disconnect(command.sessionId);
  await clock.advanceAsync(5_000);
  assertEquals([peers.size, await exit.keptCount()], [0, 1]);
  isFull = false;
  await clock.advanceAsync(1_000);
  await ended;
});

Deno.test("sessions whose packets cannot be carried as before are not taken up, and their supernode is to be told", async () => {
  using kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  using exit = new Exit(kv, clock, { packets: new FakePackets(clock).service });
  const [carried, streams] = [wanted(clock), setupOf(clock)];
  await exit.setUp(carried);
  await exit.setUp(streams);
  const other = new FakePackets(clock, { pool: "10.99.0.0/16" });
  using moved = new Exit(kv, clock, { packets: other.service });
  assertEquals(await restoreSessions(moved.options), [carried.sessionId]);
  assertEquals([moved.server.sessionCount, other.peers.size, await moved.keptCount()], [1, 0, 1]);
  await exit.setUp(carried);
  using without = new Exit(kv, clock);
  assertEquals(await restoreSessions(without.options), [carried.sessionId]);
});
