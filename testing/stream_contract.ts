/**
 * What every Stream must do (protocol/stream.ts), as tests that any implementation is run against:
 *
 *   testStreamContract("memory streams", { makePair: () => Promise.resolve(memoryStreamPair()) });
 *
 * Every case gets a fresh pair and closes it. An implementation that cannot keep a clause says so in `exceptions` with
 * its reason, and the case shows up as ignored under that reason.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { registerTest } from "./runner.ts";

/** How the contract gets its Streams. */
export interface StreamContractOptions {
  /** Two ends of one new stream, which takes at least a few dozen bytes before anyone reads. */
  makePair(): Promise<[Stream, Stream]>;
  /** Cuts the stream at the first end, as a reset or a lost link does. Left out where that cannot be brought about. */
  readonly cut?: (end: Stream) => void;
  /** Frees what the pairs stood on, after each case. */
  readonly cleanUp?: () => void | Promise<void>;
  /** Bytes of the large transfer; more than the stream can hold by itself. Default 4 MiB. */
  readonly largeBytes?: number;
  /** Clauses that this implementation does not keep, by the name of the case, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

type Case = (a: Stream, b: Stream, options: StreamContractOptions) => Promise<void>;

const cases: Readonly<Record<string, Case>> = {
  "bytes arrive in order": async (a, b) => {
    for (const word of ["one ", "two ", "three"]) await writeAll(a, encode(word));
    await a.closeWrite();
    assertEquals(await readText(b), "one two three");
  },
  "a read takes what fits and leaves the rest": async (a, b) => {
    await writeAll(a, encode("abcdefgh"));
    const three = new Uint8Array(3);
    assert(await readFull(b, three));
    assertEquals(decode(three), "abc");
    const one = new Uint8Array(1);
    assertEquals(await b.read(one), 1);
    assertEquals(decode(one), "d");
    await a.closeWrite();
    assertEquals(await readText(b), "efgh");
  },
  "a zero-length write sends nothing and ends nothing": async (a, b) => {
    assertEquals(await a.write(new Uint8Array(0)), 0);
    await writeAll(a, encode("x"));
    await a.closeWrite();
    assertEquals(await readText(b), "x");
  },
  "both directions carry a large transfer at once": async (a, b, { largeBytes = 4 * 1024 * 1024 }) => {
    await Promise.all([
      writePattern(a, largeBytes, 1),
      writePattern(b, largeBytes, 2),
      readPattern(a, 2).then((count) => assertEquals(count, largeBytes)),
      readPattern(b, 1).then((count) => assertEquals(count, largeBytes)),
    ]);
  },
  "a writer waits while nobody reads, and goes on when somebody does": async (
    a,
    b,
    { largeBytes = 4 * 1024 * 1024 },
  ) => {
    // The pattern repeats, so whoever drops or doubles a part is found out by the order of what arrives.
    const writing = writePattern(a, 4 * largeBytes, 3);
    const first = new Uint8Array(1);
    assertEquals(await b.read(first), 1);
    assertEquals(first[0], patternByte(0, 3));
    assertEquals(await readPattern(b, 3, 1), 4 * largeBytes);
    await writing;
  },
  "the one half may end while the other goes on": async (a, b) => {
    await writeAll(a, encode("question"));
    await a.closeWrite();
    assertEquals(await readText(b), "question");
    await writeAll(b, encode("answer"));
    await b.closeWrite();
    assertEquals(await readText(a), "answer");
  },
  "after the end every read says so": async (a, b) => {
    await a.closeWrite();
    assertEquals(await b.read(new Uint8Array(8)), null);
    assertEquals(await b.read(new Uint8Array(8)), null);
  },
  "what was written before close is still read": async (a, b) => {
    await writeAll(a, encode("last words"));
    a.close();
    assertEquals(await readText(b), "last words");
  },
  "close settles a pending read on both ends": async (a, b) => {
    const own = settled(a.read(new Uint8Array(8)));
    const far = settled(b.read(new Uint8Array(8)));
    a.close();
    assert(!isBytes(await own), "the closed end gave bytes that nobody sent");
    assert(!isBytes(await far), "the far end gave bytes that nobody sent");
  },
  "close settles a pending write": async (a) => {
    const writing = settled(writeForever(a));
    a.close();
    await writing;
  },
  "writing to an end that has closed fails in the end": async (a, b) => {
    b.close();
    await assertRejects(() => writeForever(a));
  },
  "the end of a half may be told twice": async (a, b) => {
    await writeAll(a, encode("x"));
    await Promise.all([a.closeWrite(), a.closeWrite()]);
    await a.closeWrite();
    assertEquals(await readText(b), "x");
  },
  "close may be repeated": (a, b) => {
    for (const end of [a, b, a, b]) end.close();
    return Promise.resolve();
  },
  "dispose after close is harmless": (a) => {
    a.close();
    a[Symbol.dispose]();
    a[Symbol.dispose]();
    return Promise.resolve();
  },
  "a closed stream cannot be read or written": async (a) => {
    a.close();
    await assertRejects(async () => {
      if (await a.read(new Uint8Array(8)) === null) throw new Error("the end is a fair answer here");
    });
    await assertRejects(() => writeForever(a));
  },
  "a read may wait while writes go on at the same end": async (a, b) => {
    const answer = readText(a);
    await writeAll(a, encode("ping"));
    const ping = new Uint8Array(4);
    assert(await readFull(b, ping));
    await writeAll(b, encode("pong"));
    await b.closeWrite();
    assertEquals(await answer, "pong");
  },
};

const cutCase: Case = async (a, b, { cut }) => {
  const reading = settled(b.read(new Uint8Array(8)));
  cut!(a);
  const outcome = await reading;
  assert(outcome.error !== undefined, `a cut stream must not look ended: read gave ${outcome.value}`);
  await assertRejects(() => writeForever(b));
};

const pendingWriteCase: Case = async (a, b, { cut, largeBytes = 4 * 1024 * 1024 }) => {
  const writing = settled(writeAll(b, new Uint8Array(4 * largeBytes)));
  assertEquals(await a.read(new Uint8Array(1)), 1);
  cut!(a);
  const { error } = await writing;
  assert(error !== undefined, "a write of more than anybody has taken must not succeed");
};

/** What a stream that can be cut must do besides. */
const cutCases: Readonly<Record<string, Case>> = {
  "a cut is an error and never the end": cutCase,
  "a write that is pending at a cut fails": pendingWriteCase,
};

/** Registers one test per clause. */
export function testStreamContract(name: string, options: StreamContractOptions): void {
  const all = options.cut ? { ...cases, ...cutCases } : cases;
  for (const [clause, run] of Object.entries(all)) {
    const exception = options.exceptions?.[clause];
    registerTest({
      name: `${name}: ${clause}${exception ? ` (not kept: ${exception})` : ""}`,
      ignore: exception !== undefined,
      async fn() {
        const [a, b] = await options.makePair();
        try {
          await run(a, b, options);
        } finally {
          a[Symbol.dispose]();
          b[Symbol.dispose]();
          await options.cleanUp?.();
        }
      },
    });
  }
  for (const clause of Object.keys(options.exceptions ?? {})) {
    if (!(clause in all)) throw new Error(`Cannot except "${clause}": it must be the name of a clause`);
  }
}

interface Outcome<T> {
  readonly value?: T;
  readonly error?: unknown;
}

function settled<T>(promise: Promise<T>): Promise<Outcome<T>> {
  return promise.then((value) => ({ value }), (error) => ({ error }));
}

function isBytes(outcome: Outcome<number | null>): boolean {
  return typeof outcome.value === "number" && outcome.value > 0;
}

/** Writes until the stream refuses. */
async function writeForever(stream: Stream): Promise<never> {
  const chunk = new Uint8Array(64 * 1024);
  for (;;) {
    await stream.write(chunk);
    // Some hosts take many writes before a reset comes back: let it.
    await new Promise<void>((resolve) => void setTimeout(resolve, 0));
  }
}

/** The byte at a place of a pattern whose period is a prime, so that no lost or doubled block goes unseen. */
function patternByte(at: number, salt: number): number {
  return (at % 65_521 * 31 + salt) & 0xff;
}

function patternChunk(at: number, length: number, salt: number): Uint8Array {
  return Uint8Array.from({ length }, (_, offset) => patternByte(at + offset, salt));
}

async function writePattern(stream: Stream, length: number, salt: number): Promise<void> {
  for (let at = 0; at < length; at += 65_521) {
    await writeAll(stream, patternChunk(at, Math.min(65_521, length - at), salt));
  }
  await stream.closeWrite();
}

/** Reads to the end, comparing every byte; gives the length of the whole. */
async function readPattern(stream: Stream, salt: number, from = 0): Promise<number> {
  const expected = patternChunk(0, 2 * 65_521, salt);
  const buffer = new Uint8Array(65_521);
  let at = from;
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    const start = at % 65_521;
    const want = expected.subarray(start, start + count);
    for (let offset = 0; offset < count; offset++) {
      if (buffer[offset] !== want[offset]) throw new Error(`The byte at ${at + offset} differs from what was sent`);
    }
    at += count;
  }
  return at;
}

async function readText(stream: Stream): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  let text = "";
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
