import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { makeQuicPair, type QuicPair } from "../../testing/quic_pair.ts";
import { testStreamContract } from "../../testing/stream_contract.ts";
import { BufferPool } from "../buffer_pool.ts";
import { ChunkedStream } from "./chunked_stream.ts";
import { QuicStream } from "./quic_stream.ts";

function contract(name: string, wrap: (stream: Stream) => Stream, isTruthful: boolean): void {
  let pair: QuicPair | undefined;
  testStreamContract(name, {
    makePair: async () => {
      pair = await makeQuicPair();
      const [near, far] = await pair.openStream();
      return [wrap(new QuicStream(near)), wrap(new QuicStream(far))];
    },
    cut: isTruthful ? (end) => end.abort!() : () => pair!.client.close(),
    cleanUp: async () => await pair![Symbol.asyncDispose](),
  });
}

contract("QUIC streams", (stream) => stream, false);
contract("QUIC streams in chunks", (stream) => new ChunkedStream(stream, new BufferPool()), true);

Deno.test("a stream of a connection that has ended says that the link is lost", async () => {
  await using pair = await makeQuicPair();
  const [near, far] = await pair.openStream();
  using here = new QuicStream(near);
  using there = new QuicStream(far);
  const reading = assertRejects(() => there.read(new Uint8Array(8)), CulvertError);
  pair.client.close({ closeCode: 3, reason: "enough" });
  assertEquals((await reading).code, "link_lost");
  assertEquals((await assertRejects(() => here.read(new Uint8Array(8)), CulvertError)).code, "link_lost");
});

Deno.test("what is not made of chunks is told", async () => {
  await using pair = await makeQuicPair();
  const [near, far] = await pair.openStream();
  using here = new QuicStream(near);
  using there = new ChunkedStream(new QuicStream(far), new BufferPool());
  await writeAll(here, Uint8Array.of(0xff, 0xff, 0xff, 1));
  const error = await assertRejects(() => there.read(new Uint8Array(8)), CulvertError);
  assertEquals(error.code, "protocol");
});
