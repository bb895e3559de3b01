import { assertEquals } from "@std/assert";
import type { Target } from "../../protocol/stream.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import type { MuxStream } from "../mux.ts";
import { PaqetDatagrams } from "./paqet_datagrams.ts";

/** What a stream of a mux does with frames, by hand. */
class FrameStream {
  readonly sent: string[] = [];
  isClosed = false;
  /** Writes wait for it. */
  room: Promise<void> = Promise.resolve();
  #ended = Promise.withResolvers<null>();

  async writeFrame(frame: Uint8Array): Promise<void> {
    this.sent.push(new TextDecoder().decode(frame));
    await this.room;
  }

  readFrame(): Promise<null> {
    return this.#ended.promise;
  }

  close(): void {
    this.isClosed = true;
    this.#ended.resolve(null);
  }
}

function open(clock: FakeClock) {
  const streams: { readonly target: Target; readonly stream: FrameStream }[] = [];
  const datagrams = new PaqetDatagrams({
    clock,
    open: (target) => {
      const stream = new FrameStream();
      streams.push({ target, stream });
      return Promise.resolve(stream as unknown as MuxStream);
    },
  });
  const send = (text: string, port: number) =>
    datagrams.send(new TextEncoder().encode(text), { host: "192.0.2.1", port });
  return { datagrams, streams, send };
}

Deno.test("a place that was quiet for a minute is forgotten, and one that is used is not", async () => {
  const clock = new FakeClock();
  const { datagrams, streams, send } = open(clock);
  await send("a", 1);
  await send("b", 2);
  clock.advance(40_000);
  await send("c", 2);
  clock.advance(30_000);
  await settle();
  assertEquals(streams.map(({ stream }) => stream.isClosed), [true, false]);
  await send("d", 1);
  await send("e", 2);
  assertEquals(streams.map(({ stream }) => stream.sent), [["a"], ["b", "c", "e"], ["d"]]);
  datagrams.close();
  await settle();
  assertEquals(streams.every(({ stream }) => stream.isClosed), true);
});

Deno.test("no more than 256 places are kept: the oldest goes", async () => {
  const { datagrams, streams, send } = open(new FakeClock());
  for (let port = 1; port <= 300; port++) await send("x", port);
  await settle();
  assertEquals(streams.filter(({ stream }) => !stream.isClosed).length, 256);
  assertEquals(streams.findIndex(({ stream }) => !stream.isClosed), 44);
  datagrams.close();
});

Deno.test("what comes for a place whose stream has no room is lost, not kept", async () => {
  const { datagrams, streams, send } = open(new FakeClock());
  await send("a", 1);
  const room = Promise.withResolvers<void>();
  streams[0]!.stream.room = room.promise;
  const slow = send("b", 1);
  await send("c", 1);
  room.resolve();
  await slow;
  await send("d", 1);
  assertEquals(streams[0]!.stream.sent, ["a", "b", "d"]);
  datagrams.close();
});
