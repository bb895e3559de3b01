import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { DialError, type DialFailure } from "../protocol/errors.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import type { NoiseKeyPair } from "../protocol/noise_ik.ts";
import { randomOf } from "../protocol/random.ts";
import { encodeRelayHeader } from "../protocol/relay.ts";
import {
  type Datagrams,
  type Hop,
  type Path,
  readFull,
  type Received,
  type Stream,
  type Target,
  writeAll,
} from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { testPathContract } from "../testing/path_contract.ts";
import { hostCrypto } from "./host_aead.ts";
import { memoryStreamPair } from "./memory.ts";
import { readRelayHeader, readReply } from "./read_frame.ts";
import { openSessionPath, type SessionPathOptions } from "./session_path.ts";
import { SessionServer, type SessionServerOptions } from "./session_server.ts";
import { SlabPool } from "./slab_pool.ts";
import { splice } from "./splice.ts";
import type { TunnelPath } from "./tunnel_path.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);
const common = { clock, random, log: silentLog, metrics: noMetrics, crypto: hostCrypto(), slabs: new SlabPool() };
const client = drawPair();
const exitKeys = drawPair();
const SESSION = "session-1";
const ECHO = { host: "echo", port: 7 };

function drawPair(): NoiseKeyPair {
  const privateKey = random.fill(new Uint8Array(32));
  return { privateKey, publicKey: common.crypto.x25519PublicKey(privateKey) };
}

/** The world behind the exit: every host echoes, but for those whose name says otherwise. */
function world(trails: (readonly Hop[] | undefined)[] = []): Path {
  return {
    dial({ host }, options): Promise<Stream> {
      trails.push(options?.trail);
      const failure = /^(.*)\.fails$/.exec(host)?.[1] as DialFailure | undefined;
      if (failure) return Promise.reject(new DialError(failure, `as asked: ${failure}`));
      if (host === "hangs") {
        return new Promise((_, reject) => {
          options!.signal!.addEventListener("abort", () => reject(options!.signal!.reason), { once: true });
        });
      }
      const [near, far] = memoryStreamPair(4096);
      echo(far);
      return Promise.resolve(near);
    },
    datagrams: () => Promise.resolve(new EchoDatagrams()),
    close() {},
    [Symbol.dispose]() {},
  };
}

async function echo(stream: Stream): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
      await writeAll(stream, buffer.subarray(0, count));
    }
    await stream.closeWrite();
  } catch { /* the other side has gone */ }
}

class EchoDatagrams implements Datagrams {
  readonly #held: { bytes: Uint8Array; from: Target }[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  send(bytes: Uint8Array, from: Target): Promise<void> {
    this.#held.push({ bytes: bytes.slice(), from });
    this.#wake?.();
    return Promise.resolve();
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    while (this.#held.length === 0 && !this.#closed) await new Promise<void>((resolve) => this.#wake = resolve);
    const first = this.#held.shift();
    if (!first) return null;
    into.set(first.bytes);
    return { length: first.bytes.length, from: first.from };
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** An exit with its supernode, and clients that come through that. */
class Rig {
  readonly exit: SessionServer;
  readonly trails: (readonly Hop[] | undefined)[] = [];
  /** Streams between the client and the supernode, the newest last. */
  readonly relayed: Stream[] = [];
  readonly #paths: TunnelPath[] = [];
  readonly #relays: Promise<void>[] = [];
  /** What the supernode does to the streams it relays. */
  sessionIdTo: (sessionId: string) => string = (sessionId) => sessionId;

  constructor(options: Partial<SessionServerOptions> = {}) {
    this.exit = new SessionServer({ ...common, local: exitKeys, onward: world(this.trails), at: "exit-1", ...options });
    this.exit.setUp({ sessionId: SESSION, clientKey: client.publicKey, expiresAtMs: clock.wallNow() + 60_000 });
  }

  connect(options: Partial<SessionPathOptions> = {}): TunnelPath {
    const path = openSessionPath({
      ...common,
      session: { sessionId: SESSION, exitKey: exitKeys.publicKey, exitPeerId: "exit-1" },
      local: client,
      at: "client-1",
      open: () => Promise.resolve(this.openStream()),
      ...options,
    });
    this.#paths.push(path);
    return path;
  }

  /** A stream to the supernode, which passes it on to the exit. */
  openStream(): Stream {
    const [near, supernode] = memoryStreamPair();
    this.relayed.push(near);
    this.#relays.push(this.#relay(supernode));
    return near;
  }

  async #relay(stream: Stream): Promise<void> {
    const [onward, far] = memoryStreamPair();
    try {
      const { sessionId, trail } = await readRelayHeader(stream);
      const header = { kind: "fromClient", sessionId: this.sessionIdTo(sessionId), trail } as const;
      const hop = { name: "supernode", at: "sn-1" };
      await writeAll(onward, encodeRelayHeader({ ...header, trail: [...trail, hop] })!);
    } catch {
      stream.close();
      return;
    }
    this.exit.serve(far);
    await splice(stream, onward);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#paths) path.close();
    this.exit.close();
    for (const path of this.#paths) await path.closed();
    await this.exit.closed();
    for (const stream of this.relayed) stream.close();
    await Promise.all(this.#relays);
  }
}

async function roundTrip(path: Path, bytes = 5): Promise<void> {
  using stream = await path.dial(ECHO);
  const text = random.fill(new Uint8Array(bytes));
  const back = new Uint8Array(bytes);
  const [, isWhole] = await Promise.all([writeAll(stream, text), readFull(stream, back)]);
  assert(isWhole);
  assert(back.every((byte, at) => byte === text[at]));
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const startMs = clock.now(); !condition();) {
    if (clock.now() - startMs > 8000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
}

async function dialError(path: Path): Promise<DialError> {
  return await assertRejects(() => path.dial(ECHO), DialError);
}

testPathContract("a session", {
  has: ["refusing", "unresolved", "silent", "datagramEcho"],
  setUp() {
    const rig = new Rig();
    return Promise.resolve({
      path: rig.connect(),
      echo: ECHO,
      refusing: { host: "refused.fails", port: 1 },
      unresolved: { host: "unresolved.fails", port: 1 },
      silent: { host: "hangs", port: 1 },
      datagramEcho: { host: "192.0.2.1", port: 53 },
      [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
    });
  },
});

Deno.test("large transfers over a session arrive whole", async () => {
  await using rig = new Rig();
  await roundTrip(rig.connect(), 4 * 1024 * 1024);
});

Deno.test("the trail names client, supernodes and exit, in that order", async () => {
  await using rig = new Rig();
  (await rig.connect().dial(ECHO, { trail: [{ name: "ingress", at: "here" }] })).close();
  assertEquals(rig.trails[0]!.map(({ name, at }) => `${name} ${at}`), [
    "ingress here",
    "client client-1",
    "supernode sn-1",
    "exit exit-1",
  ]);
});

Deno.test("ten thousand streams are open over one session at once", async () => {
  await using rig = new Rig();
  const path = rig.connect();
  const streams = await Promise.all(Array.from({ length: 10_000 }, () => path.dial(ECHO)));
  assertEquals(rig.exit.streamCount, 10_000);
  assertEquals(rig.exit.linkCount, 1);
  await Promise.all(streams.map(async (stream, number) => {
    await writeAll(stream, Uint8Array.of(number >> 8, number));
    const back = new Uint8Array(2);
    assert(await readFull(stream, back));
    assertEquals((back[0]! << 8) | back[1]!, number);
    stream.close();
  }));
  await until(() => rig.exit.streamCount === 0, "every stream has ended");
});

Deno.test("whoever has no session, or not its key, is not served", async (t) => {
  const stranger = drawPair();
  const rows: { name: string; options: Partial<SessionPathOptions>; to?: string; code: string }[] = [
    {
      name: "an unknown session",
      options: { session: { sessionId: "other", exitKey: exitKeys.publicKey, exitPeerId: "e" } },
      code: "unauthorized",
    },
    { name: "another client's session", options: { local: stranger }, code: "path_down" },
    {
      name: "an exit that is not the one meant",
      options: { session: { sessionId: SESSION, exitKey: stranger.publicKey, exitPeerId: "e" } },
      code: "path_down",
    },
    { name: "joined to a session it did not ask for", options: {}, to: "session-2", code: "path_down" },
  ];
  for (const { name, options, to, code } of rows) {
    await t.step(name, async () => {
      await using rig = new Rig();
      rig.exit.setUp({ sessionId: "session-2", clientKey: client.publicKey, expiresAtMs: clock.wallNow() + 60_000 });
      if (to) rig.sessionIdTo = () => to;
      assertEquals((await dialError(rig.connect(options))).code, code);
      assertEquals(rig.exit.linkCount, 0);
    });
  }
});

Deno.test("a session that is removed ends what it has open and takes no more", async () => {
  await using rig = new Rig();
  const path = rig.connect();
  using stream = await path.dial(ECHO);
  assert(rig.exit.remove(SESSION));
  assert(!rig.exit.remove(SESSION));
  await assertRejects(() => stream.read(new Uint8Array(1)));
  const error = await dialError(path);
  assert(error.code === "unauthorized" || error.code === "path_down");
  assertEquals(rig.exit.linkCount, 0);
});

Deno.test("a session ends when it expires, and not before when it was set up again", () => {
  const clock = new FakeClock();
  const exit = new SessionServer({ ...common, clock, local: exitKeys, onward: world(), at: "exit-1" });
  const setUp = (sessionId: string, forMs: number, clientKey = client.publicKey) =>
    exit.setUp({ sessionId, clientKey, expiresAtMs: clock.wallNow() + forMs });
  setUp("a", 1000);
  setUp("b", 1000);
  setUp("b", 3000);
  setUp("c", 40 * 86_400_000);
  clock.advance(1000);
  assertEquals(exit.sessionCount, 2);
  clock.advance(2000);
  assertEquals(exit.sessionCount, 1);
  clock.advance(40 * 86_400_000);
  assertEquals(exit.sessionCount, 0);
  assertThrows(() => setUp("d", 0), DialError, "expired");
  exit.close();
});

Deno.test("after close no session is set up", () => {
  const clock = new FakeClock();
  const exit = new SessionServer({ ...common, clock, local: exitKeys, onward: world(), at: "exit-1" });
  exit.close();
  const session = { sessionId: "a", clientKey: client.publicKey, expiresAtMs: clock.wallNow() + 1000 };
  assertThrows(() => exit.setUp(session), DialError, "closing");
  assertEquals([exit.sessionCount, clock.pendingTimers], [0, 0]);
});

Deno.test("a session set up again for another key ends what the old one has open", async () => {
  await using rig = new Rig();
  const old = rig.connect();
  using stream = await old.dial(ECHO);
  const other = drawPair();
  rig.exit.setUp({ sessionId: SESSION, clientKey: other.publicKey, expiresAtMs: clock.wallNow() + 60_000 });
  await assertRejects(() => stream.read(new Uint8Array(1)));
  await roundTrip(rig.connect({ local: other }));
  assertEquals(rig.exit.sessionCount, 1);
});

Deno.test("beyond its limits an exit says busy", async () => {
  await using rig = new Rig({ limits: { maxSessions: 1, maxLinksPerSession: 1 } });
  assertThrows(
    () => rig.exit.setUp({ sessionId: "x", clientKey: client.publicKey, expiresAtMs: clock.wallNow() + 1000 }),
    DialError,
    "as many as allowed",
  );
  await roundTrip(rig.connect());
  const error = await dialError(rig.connect());
  assertEquals(error.code, "busy");
  assertStringIncludes(error.message, "as many streams as it may");
});

Deno.test("a handshake that does not go on ends at its deadline, and keeps a place until then", async () => {
  await using rig = new Rig({ limits: { handshakeTimeoutMs: 50, maxHandshakes: 2 } });
  const header = encodeRelayHeader({ kind: "toExit", sessionId: SESSION, trail: [] })!;
  const [first, second, third] = [rig.openStream(), rig.openStream(), rig.openStream()] as const;
  for (const stream of [first, second, third]) await writeAll(stream, header);
  assertEquals((await assertRejects(() => readReply(third, "it"), DialError)).code, "busy");
  for (const stream of [first, second]) await assertRejects(() => readReply(stream, "it"));
  assertEquals(rig.exit.linkCount, 0);
  await roundTrip(rig.connect());
});

Deno.test("when the relayed stream is lost its streams fail, and the next dial is served by a new one", async () => {
  await using rig = new Rig();
  const path = rig.connect();
  using stream = await path.dial(ECHO);
  rig.relayed[0]!.abort!();
  await assertRejects(() => stream.read(new Uint8Array(1)));
  await until(() => path.linkCount === 1, "a new link");
  await roundTrip(path);
});

Deno.test("an exit that shuts down lets streams finish and takes no more", async () => {
  await using rig = new Rig();
  const path = rig.connect();
  const stream = await path.dial(ECHO);
  const controller = new AbortController();
  const shutdown = rig.exit.shutdown(controller.signal);
  await writeAll(stream, Uint8Array.of(1));
  assertEquals(await stream.read(new Uint8Array(1)), 1);
  stream.close();
  await shutdown;
  assertEquals(rig.exit.linkCount, 0);
});
