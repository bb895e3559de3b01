import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError, DialError } from "../protocol/errors.ts";
import type { NoiseKeyPair } from "../protocol/noise_ik.ts";
import { randomOf } from "../protocol/random.ts";
import { FIRST_BYTES, sessionPrologue } from "../protocol/sealed_handshake.ts";
import { readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { testStreamContract } from "../testing/stream_contract.ts";
import { hostCrypto } from "./host_aead.ts";
import { memoryStreamPair } from "./memory.ts";
import { type SealedStream, type SealOptions, type SealParts, sealStream } from "./sealed_stream.ts";
import { SlabPool } from "./slab_pool.ts";

const random = randomOf(crypto);
const parts: SealParts = { crypto: hostCrypto(), random, clock: clockOf(globalThis), slabs: new SlabPool() };
const client = drawPair();
const exit = drawPair();
const prologue = sessionPrologue("session-1");

function drawPair(): NoiseKeyPair {
  const privateKey = random.fill(new Uint8Array(32));
  return { privateKey, publicKey: parts.crypto.x25519PublicKey(privateKey) };
}

function asInitiator(rest: Partial<SealParts & { remote: NoiseKeyPair; prologue: typeof prologue }> = {}): SealOptions {
  return { ...parts, role: "initiator", local: client, prologue, ...rest, remote: (rest.remote ?? exit).publicKey };
}

function asResponder(accept: (key: Uint8Array) => boolean = () => true, rest: Partial<SealParts> = {}): SealOptions {
  return { ...parts, role: "responder", local: exit, prologue, accept, ...rest };
}

async function seal(a: Stream, b: Stream, rest: Partial<SealParts> = {}): Promise<[SealedStream, SealedStream]> {
  return await Promise.all([sealStream(a, asInitiator(rest)), sealStream(b, asResponder(undefined, rest))]);
}

/** Two pairs of streams with a relay between, which may change what passes from the first to the second. */
function relayed(change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | undefined): [Stream, Stream] {
  const [a, inner] = memoryStreamPair();
  const [outer, b] = memoryStreamPair();
  pass(inner, outer, change);
  pass(outer, inner, (bytes) => bytes);
  return [a, b];
}

async function pass(
  from: Stream,
  to: Stream,
  change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | undefined,
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
      const bytes = change(buffer.slice(0, count));
      if (bytes === undefined) break;
      await writeAll(to, bytes);
    }
    await to.closeWrite();
  } catch {
    to.abort!();
  }
}

testStreamContract("sealed streams", {
  makePair: () => seal(...memoryStreamPair()),
  cut: (end) => end.abort!(),
});

testStreamContract("sealed streams over small pipes", {
  makePair: () => seal(...memoryStreamPair(512)),
  largeBytes: 200_000,
});

Deno.test("what is relayed has nothing of what is said in it, and no two streams look alike", async () => {
  const seen: Uint8Array[] = [];
  for (let round = 0; round < 2; round++) {
    const passed: number[] = [];
    const [a, b] = relayed((bytes) => (passed.push(...bytes), bytes));
    const [near, far] = await seal(a, b);
    const text = new Uint8Array(4000).fill(65);
    await writeAll(near, text);
    assert(await readFull(far, new Uint8Array(4000)));
    near.close();
    far.close();
    assert(!passed.some((_, at) => passed.slice(at, at + 8).join() === text.subarray(0, 8).join()));
    seen.push(Uint8Array.from(passed));
  }
  assert(seen[0]!.slice(0, 32).join() !== seen[1]!.slice(0, 32).join());
});

Deno.test("a changed, doubled, dropped or moved record ends the stream, and nothing of it is read", async (t) => {
  const flip = (bytes: Uint8Array) => bytes.map((byte, at) => at === bytes.length - 1 ? byte ^ 1 : byte);
  const rows: { name: string; third: (bytes: Uint8Array, earlier: Uint8Array) => Uint8Array }[] = [
    { name: "changed", third: flip },
    { name: "its length changed", third: (bytes) => bytes.map((byte, at) => at === 1 ? byte - 1 : byte) },
    { name: "a length no record has", third: (bytes) => bytes.map((byte, at) => at === 0 ? 0xff : byte) },
    { name: "the one before again", third: (_, earlier) => earlier },
    { name: "dropped, the next in its place", third: () => new Uint8Array(0) },
  ];
  for (const { name, third } of rows) {
    await t.step(name, async () => {
      let records = 0;
      let earlier = new Uint8Array(0) as Uint8Array;
      // The handshake's message and the confirmation come first.
      const [a, b] = relayed((bytes) => {
        if (records++ === 3) return third(bytes, earlier);
        return earlier = bytes;
      });
      const [near, far] = await seal(a, b);
      const into = new Uint8Array(100);
      await writeAll(near, Uint8Array.of(1, 2, 3));
      assertEquals(await far.read(into), 3);
      await writeAll(near, Uint8Array.of(4, 5, 6));
      await writeAll(near, Uint8Array.of(7, 8, 9));
      const error = await assertRejects(() => far.read(into), CulvertError);
      assertEquals(error.code, "tampered");
      await assertRejects(() => far.read(into), CulvertError);
      near.close();
      far.close();
    });
  }
});

Deno.test("a stream that stops before its sealed end was cut", async (t) => {
  for (const { name, keep } of [{ name: "between records", keep: 23 }, { name: "in a record", keep: 30 }]) {
    await t.step(name, async () => {
      let seenBytes = 0;
      const [a, b] = relayed((bytes) => {
        seenBytes += bytes.length;
        return seenBytes > FIRST_BYTES + 19 + keep ? undefined : bytes;
      });
      const [near, far] = await seal(a, b);
      await writeAll(near, Uint8Array.of(1, 2, 3, 4, 5));
      assertEquals(await far.read(new Uint8Array(9)), 5);
      await near.closeWrite();
      const error = await assertRejects(() => far.read(new Uint8Array(9)), CulvertError);
      assertEquals(error.code, "reset");
      near.close();
      far.close();
    });
  }
});

Deno.test("only the keys that both expect make a stream", async (t) => {
  const other = drawPair();
  const small = { privateKey: other.privateKey, publicKey: new Uint8Array(32) };
  const rows: { name: string; initiator: SealOptions; responder: SealOptions }[] = [
    { name: "another exit was meant", initiator: asInitiator({ remote: other }), responder: asResponder() },
    { name: "an exit key of small order", initiator: asInitiator({ remote: small }), responder: asResponder() },
    { name: "a client that is not accepted", initiator: asInitiator(), responder: asResponder(() => false) },
    {
      name: "another session",
      initiator: asInitiator({ prologue: sessionPrologue("session-2") }),
      responder: asResponder(),
    },
  ];
  for (const { name, initiator, responder } of rows) {
    await t.step(name, async () => {
      const [a, b] = memoryStreamPair();
      const [near, far] = await Promise.allSettled([sealStream(a, initiator), sealStream(b, responder)]);
      assertEquals([near.status, far.status], ["rejected", "rejected"]);
    });
  }
  await t.step("the key that is accepted is the client's", async () => {
    const keys: string[] = [];
    const [a, b] = memoryStreamPair();
    const accept = (key: Uint8Array) => keys.push(key.join()) > 0;
    const ends = await Promise.all([sealStream(a, asInitiator()), sealStream(b, asResponder(accept))]);
    assertEquals(keys, [client.publicKey.join()]);
    for (const end of ends) end.close();
  });
});

Deno.test("a first message sent again, by whoever heard it, opens nothing", async () => {
  const heard: number[] = [];
  const [a, b] = relayed((bytes) => (heard.push(...bytes), bytes));
  const [near, far] = await seal(a, b);
  await writeAll(near, Uint8Array.of(1, 2, 3));
  assert(await readFull(far, new Uint8Array(3)));
  near.close();
  far.close();
  const [c, d] = memoryStreamPair();
  const answering = sealStream(d, asResponder());
  await writeAll(c, Uint8Array.from(heard));
  const error = await assertRejects(() => answering, CulvertError);
  assertEquals(error.code, "tampered");
});

Deno.test("a handshake given up, or cut, leaves nothing", async () => {
  const [a, b] = memoryStreamPair();
  const controller = new AbortController();
  const waiting = sealStream(a, { ...asInitiator(), signal: controller.signal });
  controller.abort(new Error("long enough"));
  await assertRejects(() => waiting, Error, "long enough");
  await assertRejects(() => sealStream(b, asResponder()));
  const [c, d] = memoryStreamPair();
  const answering = sealStream(d, asResponder());
  await writeAll(c, new Uint8Array(50));
  c.close();
  assertEquals((await assertRejects(() => answering, DialError)).code, "path_down");
});

Deno.test("a stream that cannot say its end in time is cut", async () => {
  const clock = new FakeClock();
  const [a, b] = memoryStreamPair(300);
  const [near, far] = await seal(a, b, { clock });
  // Fills the pipe and no more, so that the end waits.
  await writeAll(near, new Uint8Array(282 - 19));
  await writeAll(near, new Uint8Array(1));
  near.close();
  clock.advance(1000);
  await assertRejects(async () => {
    while (await far.read(new Uint8Array(100)) !== null);
  }, CulvertError);
  far.close();
});

Deno.test("a preface goes before the handshake, both ways", async () => {
  const [a, b] = memoryStreamPair();
  const expect = (text: string) => async (stream: Stream) => {
    const got = new Uint8Array(text.length);
    assert(await readFull(stream, got));
    assertEquals(new TextDecoder().decode(got), text);
  };
  const encode = (text: string) => new TextEncoder().encode(text);
  const ends = await Promise.all([
    sealStream(a, { ...asInitiator(), preface: { send: encode("who"), receive: expect("here") } }),
    sealStream(b, { ...asResponder(), preface: { send: encode("here"), receive: expect("who") } }),
  ]);
  for (const end of ends) end.close();
});
