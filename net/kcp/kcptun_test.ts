import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { testPathContract } from "../../testing/path_contract.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { eventually } from "../../testing/waiting.ts";
import { KcptunRig } from "./fixtures/kcptun_rig.ts";

const target = { host: "target.example", port: 80 };

for (
  const both of [
    { smuxver: 1, nocomp: false, crypt: "aes" },
    { smuxver: 2, nocomp: true, crypt: "aes-128-gcm", datashard: 0, parityshard: 0 },
  ] as const
) {
  testPathContract(`kcptun with SOCKS5 behind it, smux ${both.smuxver}`, {
    has: ["refusing", "silent"],
    async setUp() {
      const rig = await KcptunRig.open({
        clock: clockOf(globalThis),
        delayMs: 0,
        both,
        client: { far: "socks5", halfClose: true },
      });
      return {
        path: rig.path,
        echo: target,
        refusing: { host: "refused.fails", port: 1 },
        silent: { host: "hangs", port: 1 },
        [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
      };
    },
  });
}

/** Lets time pass until the promise settles. */
async function passing<T>(clock: FakeClock, promise: Promise<T>, limitMs = 60_000): Promise<T> {
  let isSettled = false;
  promise.then(() => isSettled = true, () => isSettled = true);
  for (let passedMs = 0; !isSettled; passedMs += 5) {
    assert(passedMs < limitMs, `nothing happened within ${limitMs} ms`);
    await settle();
    if (!isSettled) clock.advance(5);
  }
  return await promise;
}

/** Lets so much time pass on the fake clock. */
function passes(clock: FakeClock, ms: number): Promise<void> {
  return passing(clock, new Promise<void>((resolve) => void clock.after(ms, resolve)), ms * 2);
}

/** Lets time pass until it holds. */
async function passesUntil(clock: FakeClock, holds: () => boolean): Promise<void> {
  for (let passedMs = 0; !holds(); passedMs += 5) {
    assert(passedMs < 60_000, "it never came to hold");
    await passes(clock, 5);
  }
}

async function exchange(stream: Stream, bytes = 1000): Promise<boolean> {
  const sent = new SeededRandom(2).fill(new Uint8Array(bytes));
  const back = new Uint8Array(bytes);
  const [isWhole] = await Promise.all([readFull(stream, back), writeAll(stream, sent)]);
  return isWhole && sent.every((byte, at) => byte === back[at]);
}

interface TimedRig {
  readonly clock: FakeClock;
  readonly rig: KcptunRig;
}

async function timed(
  options: Omit<Parameters<typeof KcptunRig.open>[0], "clock">,
  use: (timed: TimedRig) => Promise<void>,
): Promise<void> {
  const clock = new FakeClock();
  const rig = await KcptunRig.open({ clock, ...options });
  try {
    await use({ clock, rig });
  } finally {
    await passing(clock, rig[Symbol.asyncDispose]());
  }
}

Deno.test("A fixed target is where every dial leads", () =>
  timed({ server: { target } }, async ({ clock, rig }) => {
    using stream = await passing(clock, rig.path.dial({ host: "elsewhere.example", port: 9 }));
    assert(await passing(clock, exchange(stream, 100_000)));
    assertEquals(rig.onward.dialled, [target]);
  }));

Deno.test("A stream whose target cannot be connected just ends, as kcptun has no word for it", () =>
  timed({ server: { target: { host: "refused.fails", port: 1 } } }, async ({ clock, rig }) => {
    using stream = await passing(clock, rig.path.dial(target));
    assertEquals(await passing(clock, stream.read(new Uint8Array(1))), null);
  }));

for (
  const failure of ["denied", "host_unreachable", "network_unreachable", "refused", "timeout", "unsupported"] as const
) {
  Deno.test(`A dial through SOCKS5 behind the tunnel fails truthfully: ${failure}`, () =>
    timed({ client: { far: "socks5" } }, async ({ clock, rig }) => {
      const dialling = rig.path.dial({ host: `${failure}.fails`, port: 1 });
      const error = await passing(clock, assertRejects(() => dialling, DialError));
      assertEquals(error.code, failure);
    }));
}

Deno.test("The end of what we say is held back, unless the far end is known to pass it on", async () => {
  for (const halfClose of [false, true]) {
    await timed({ server: { target }, client: { halfClose } }, async ({ clock, rig }) => {
      using stream = await passing(clock, rig.path.dial(target));
      assert(await passing(clock, exchange(stream)));
      await stream.closeWrite();
      let end: number | null | undefined;
      stream.read(new Uint8Array(1)).then((count) => end = count, () => {});
      await passing(clock, new Promise<void>((resolve) => void clock.after(2000, resolve)));
      assertEquals(end, halfClose ? null : undefined);
    });
  }
});

Deno.test("A tunnel on which what was sent goes unanswered gets no new streams", () =>
  timed({ server: { target } }, async ({ clock, rig }) => {
    using first = await passing(clock, rig.path.dial(target));
    assert(await passing(clock, exchange(first)));
    rig.network.fate.lossShare = 1;
    await writeAll(first, new Uint8Array(100));
    await passing(clock, new Promise<void>((resolve) => void clock.after(6000, resolve)));
    rig.network.fate.lossShare = 0;
    using second = await passing(clock, rig.path.dial(target));
    assert(await passing(clock, exchange(second)));
    assertEquals(rig.carriers.length, 2);
  }));

Deno.test("A stream that one side has ended and on which nothing moves is ended", () =>
  timed({
    server: { target: { host: "speaks", port: 1 }, limits: { halfClosedTimeoutMs: 3000 } },
    client: { halfClose: true },
  }, async ({ clock, rig }) => {
    using stream = await passing(clock, rig.path.dial(target));
    const byte = new Uint8Array(1);
    assertEquals(await passing(clock, stream.read(byte)), 1);
    await stream.closeWrite();
    const endedMs = clock.now();
    await passing(clock, stream.read(byte).catch(() => null), 20_000);
    assert(clock.now() - endedMs >= 2900, `${clock.now() - endedMs} ms`);
    assertEquals(rig.server.streamCount, 0);
  }));

Deno.test("A dial that takes too long ends its stream, and one whose client has gone is given up", () =>
  timed({ server: { target: { host: "hangs", port: 1 }, limits: { dialTimeoutMs: 4000 } } }, async ({ clock, rig }) => {
    const dialMs = clock.now();
    using stream = await passing(clock, rig.path.dial(target));
    const end = stream.read(new Uint8Array(1));
    const other = await passing(clock, rig.path.dial(target));
    await passesUntil(clock, () => rig.onward.hanging === 2);
    other.close();
    await passesUntil(clock, () => rig.onward.hanging === 1);
    assertEquals(await passing(clock, end), null);
    assert(clock.now() - dialMs >= 4000 && clock.now() - dialMs < 4500, `${clock.now() - dialMs} ms`);
  }));

Deno.test("Streams beyond the most that a tunnel may have just end, as do those of a server that drains", () =>
  timed({ server: { target, limits: { maxStreams: 2 } } }, async ({ clock, rig }) => {
    const streams = [];
    for (let at = 0; at < 3; at++) streams.push(await passing(clock, rig.path.dial(target)));
    const ended = (stream: Stream) => passing(clock, stream.read(new Uint8Array(1)).catch(() => null));
    assertEquals(await ended(streams[2]!), null);
    assertEquals(rig.onward.dialled.length, 2);
    streams[1]!.close();
    const stop = new AbortController();
    const stopped = rig.server.shutdown(stop.signal);
    const late = await passing(clock, rig.path.dial(target));
    assertEquals(await ended(late), null);
    assertEquals(rig.onward.dialled.length, 2);
    assert(await passing(clock, exchange(streams[0]!)));
    stop.abort();
    await passing(clock, stopped);
  }));

Deno.test("Dials go to the tunnel with the fewest streams, each with a port of its own", () =>
  timed({ server: { target }, client: { conn: 3 } }, async ({ clock, rig }) => {
    const streams: Stream[] = [];
    for (let at = 0; at < 6; at++) streams.push(await passing(clock, rig.path.dial(target)));
    assertEquals(rig.path.tunnels.map(({ streamCount }) => streamCount), [2, 2, 2]);
    assertEquals([rig.carriers.length, rig.server.size], [3, 3]);
    for (const stream of streams) stream.close();
  }));

Deno.test("An expired tunnel gets no new streams, and ends once those it has have ended, or had their time", () =>
  timed({ server: { target }, client: { autoexpire: 20, scavengettl: 60 } }, async ({ clock, rig }) => {
    const first = await passing(clock, rig.path.dial(target));
    await passes(clock, 22_000);
    const second = await passing(clock, rig.path.dial(target));
    assertEquals(rig.path.tunnels.map(({ streamCount }) => streamCount), [1, 1]);
    assert(await passing(clock, exchange(first)));
    await passes(clock, 70_000);
    await assertRejects(() => exchange(first), CulvertError);
    second.close();
    await passes(clock, 30_000);
    assertEquals(rig.path.streamCount, 0);
  }));

Deno.test("A server that has been restarted is found again by the next dial", () =>
  timed({ server: { target } }, async ({ clock, rig }) => {
    using before = await passing(clock, rig.path.dial(target));
    assert(await passing(clock, exchange(before)));
    rig.server.close();
    await rig.server.closed();
    await rig.serve();
    await passing(clock, new Promise<void>((resolve) => void clock.after(1000, resolve)));
    const startMs = clock.now();
    using after = await passing(clock, rig.path.dial(target));
    assert(await passing(clock, exchange(after)));
    assert(clock.now() - startMs < 5000, `${clock.now() - startMs} ms`);
  }));

for (
  const { name, client } of [
    { name: "key", client: { key: "another" } },
    { name: "crypt", client: { crypt: "salsa20" } },
  ] as const
) {
  Deno.test(`Another ${name} at the other end is told as silence within five seconds`, () =>
    timed({ both: { key: "ours" }, client, server: { target } }, async ({ clock, rig }) => {
      const error = await passing(clock, assertRejects(() => rig.path.dial(target), DialError));
      assertEquals(error.code, "path_down");
      assertEquals(rig.path.problem, error.message);
      assert(/Nothing genuine has come .* key or crypt/.test(error.message));
      assert(clock.now() <= 5100, `${clock.now()} ms`);
      assertEquals(rig.server.size, 0);
      assert(rig.server.counters.forged > 0);
    }));
}

Deno.test("One end that compresses and one that does not say so", () =>
  timed({ server: { target, nocomp: true }, client: { nocomp: false } }, async ({ clock, rig }) => {
    const dialling = rig.path.dial(target).then((stream) => exchange(stream));
    await passing(clock, assertRejects(() => dialling));
  }));

Deno.test("Nothing that a stranger sends opens a tunnel or is answered, with a key or without crypt", async () => {
  const clock = clockOf(globalThis);
  for (const crypt of ["aes", "none", "null", "xor"] as const) {
    await using rig = await KcptunRig.open({ clock, delayMs: 0, both: { crypt }, server: { target } });
    const stranger = rig.network.carrier("10.9.9.9", 9);
    let answers = 0;
    stranger.start({ onPacket: () => answers++, onTurn() {}, onClose() {} });
    const place = stranger.place("10.0.0.2", 29900);
    fc.assert(
      fc.property(anyBytes(1400), (bytes) => {
        const at = stranger.reserve(bytes.length);
        stranger.slab.bytes.set(bytes, at);
        stranger.commit(bytes.length, place);
        stranger.flush();
      }),
      { numRuns: 300 },
    );
    using stream = await rig.path.dial(target);
    assert(await exchange(stream));
    await eventually("one tunnel", () => rig.server.size === 1);
    assertEquals(answers, 0);
    stranger.close();
  }
});

Deno.test("Whoever has the key can break no more than a tunnel of their own", () =>
  timed(
    { both: { crypt: "null", nocomp: true }, server: { target, limits: { maxTunnels: 8 } } },
    async ({ clock, rig }) => {
      const { network, path, server } = rig;
      const said: Uint8Array[] = [];
      network.fate.drops = (packet, from) => {
        if (from.host === "10.0.0.1" && said.length < 60) said.push(packet.slice());
        return false;
      };
      using stream = await passing(clock, path.dial(target));
      assert(await passing(clock, exchange(stream, 30_000)));
      const strangers = Array.from({ length: 20 }, (_, port) => network.carrier("10.9.9.9", 1 + port));
      for (const stranger of strangers) stranger.start({ onPacket() {}, onTurn() {}, onClose() {} });
      const hostile = fc.tuple(mutationsOf(fc.constantFrom(...said)), fc.nat(strangers.length - 1));
      fc.assert(fc.property(hostile, ([bytes, index]) => {
        const stranger = strangers[index]!;
        const at = stranger.reserve(bytes.length);
        stranger.slab.bytes.set(bytes, at);
        stranger.commit(bytes.length, stranger.place("10.0.0.2", 29900));
        stranger.flush();
        clock.advance(2);
        assert(server.size <= 8);
      }));
      for (const stranger of strangers) stranger.close();
      using other = await passing(clock, path.dial(target));
      assert(await passing(clock, exchange(other)));
    },
  ));

Deno.test("Settings that cannot be are refused, and named", async () => {
  const clock = new FakeClock();
  const refused = [
    [{ mtu: 40 }, "mtu must be 100 to 1500, got 40"],
    [{ sndwnd: 0 }, "sndwnd must be 1 to 32768, got 0"],
    [{ rcvwnd: 40_000 }, "rcvwnd must be 1 to 32768, got 40000"],
    [{ resend: 300 }, "resend must be 0 to 254, got 300"],
    [{ interval: NaN }, "interval must be 0 to 5000, got NaN"],
    [{ datashard: 30, parityshard: 10 }, "at most 32 together, got 30 and 10"],
    [{ keepalive: 30 }, "keepalive must be 1 to 29, got 30"],
    [{ conn: 0 }, "conn must be 1 to 256, got 0"],
    [{ crypt: "twofish" as "aes" }, "crypt must be one that is spoken here, got twofish"],
    [{ mode: "fast4" as "fast" }, "mode must be normal, fast to fast3 or manual, got fast4"],
    [{ smuxver: 3 as 2 }, "smuxver must be 1 to 2, got 3"],
  ] as const;
  for (const [client, message] of refused) {
    await assertRejects(() => KcptunRig.open({ clock, client }), CulvertError, message);
  }
});
