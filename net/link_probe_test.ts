import { assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import { BufferPool } from "./buffer_pool.ts";
import { answerProbe, probeLink } from "./link_probe.ts";
import { memoryStreamPair } from "./memory.ts";
import { MuxConnection, type MuxStream } from "./mux.ts";
import { readRelayHeader } from "./read_frame.ts";
import { StreamLink } from "./stream_link.ts";

/** Both ends of a link on which at most two streams may be. */
class Ends implements AsyncDisposable {
  readonly near: MuxConnection;
  readonly far: MuxConnection;

  constructor(onStream: (stream: MuxStream) => void) {
    const [a, b] = memoryStreamPair();
    const [pool, clock, options] = [new BufferPool(), clockOf(globalThis), { extensions: true, maxStreams: 2 }];
    this.near = new MuxConnection(new StreamLink(a, pool), clock, { ...options, role: "client" });
    this.far = new MuxConnection(new StreamLink(b, pool), clock, { ...options, role: "server" });
    this.far.onStream = onStream;
    this.near.start();
    this.far.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.near.close();
    this.far.close();
    await Promise.all([this.near.ended, this.far.ended]);
  }
}

async function answer(stream: MuxStream, problem?: string): Promise<void> {
  assertEquals((await readRelayHeader(stream)).kind, "probe");
  await answerProbe(stream, problem);
}

const never = new AbortController().signal;

Deno.test("a link whose other end answers works", async () => {
  await using ends = new Ends((stream) => void answer(stream));
  await probeLink(ends.near, never);
});

Deno.test("a link beyond which nothing comes out does not work, and says why", async () => {
  await using ends = new Ends((stream) => void answer(stream, "no way out"));
  const error = await assertRejects(() => probeLink(ends.near, never), DialError, "no way out");
  assertEquals(error.code, "path_down");
});

Deno.test("an end that does not know probes, and ends the stream, is there all the same", async () => {
  await using ends = new Ends((stream) => stream.close());
  await probeLink(ends.near, never);
});

Deno.test("a link that has as many streams as it may is not down for that", async () => {
  await using ends = new Ends(() => {});
  ends.near.open();
  ends.near.open();
  await probeLink(ends.near, never);
});

Deno.test("a silent end is waited for as long as the signal says", async () => {
  await using ends = new Ends(() => {});
  const stop = new AbortController();
  const probe = assertRejects(() => probeLink(ends.near, stop.signal), Error, "enough");
  stop.abort(new Error("enough"));
  await probe;
});

Deno.test("a link that has ended does not work", async () => {
  await using ends = new Ends(() => {});
  ends.near.close();
  await assertRejects(() => probeLink(ends.near, never));
});
