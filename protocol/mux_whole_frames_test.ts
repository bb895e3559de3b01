import { assertEquals } from "@std/assert";
import { SeededRandom } from "../testing/seeded_random.ts";
import { MuxSession } from "./mux.ts";
import type { MuxChannel } from "./mux_channel.ts";

/** Two plain smux sessions; what the first sends goes to the second in pieces of that size. */
function pair(pieceBytes: number) {
  let far: MuxChannel | undefined;
  const nothing = { onOpen: () => {}, onWantsWrite: () => {} };
  const near = new MuxSession({ role: "client" }, nothing, 0);
  const server = new MuxSession({ role: "server", keepsFrames: true }, {
    ...nothing,
    onOpen: (channel) => void (far ??= channel),
  }, 0);
  const pump = () => {
    const into = new Uint8Array(pieceBytes);
    for (let count; (count = near.pull(into, 0)) > 0;) server.receive(into.subarray(0, count), 0);
    const back = new Uint8Array(65_536);
    for (let count; (count = server.pull(back, 0)) > 0;) near.receive(back.subarray(0, count), 0);
  };
  return { near, pump, far: () => far! };
}

for (const pieceBytes of [64, 100, 1306, 65_536]) {
  Deno.test(`frames stay whole over pieces of ${pieceBytes} bytes, among bytes of others`, () => {
    const { near, pump, far } = pair(pieceBytes);
    const random = new SeededRandom(pieceBytes);
    const datagrams = near.open()!;
    const bytes = near.open()!;
    for (const length of [1, 1200, 3, 4096, 50, 900]) {
      const datagram = random.fill(new Uint8Array(length));
      let isWritten = false;
      datagrams.onWritten = () => isWritten = true;
      datagrams.offer(datagram, true);
      bytes.offer(random.fill(new Uint8Array(700)));
      pump();
      assertEquals(isWritten, true);
      assertEquals(far().frameBytes, length);
      const got = new Uint8Array(length);
      far().take(got, 0);
      assertEquals(got, datagram);
      assertEquals(far().frameBytes, undefined);
    }
  });
}

Deno.test("several frames that wait are told apart, also when one is taken in parts", () => {
  const { near, pump, far } = pair(200);
  const channel = near.open()!;
  for (const length of [10, 20, 30]) {
    channel.offer(new Uint8Array(length), true);
    pump();
  }
  assertEquals(far().frameBytes, 10);
  far().take(new Uint8Array(4), 0);
  assertEquals(far().frameBytes, 6);
  far().take(new Uint8Array(6), 0);
  assertEquals(far().frameBytes, 20);
  far().take(new Uint8Array(50), 0);
  assertEquals(far().frameBytes, undefined);
});

Deno.test("a frame whose writer gives up in the middle is made up by zeros, and others follow it unharmed", () => {
  const { near, far } = pair(64);
  const channel = near.open()!;
  const other = near.open()!;
  const sent: number[] = [];
  const into = new Uint8Array(64);
  const pull = () => {
    const count = near.pull(into, 0);
    sent.push(...into.subarray(0, count));
    return count;
  };
  channel.offer(new Uint8Array(200).fill(7), true);
  pull();
  channel.abort(1);
  other.offer(new Uint8Array(5).fill(9));
  while (pull() > 0);
  const channels: MuxChannel[] = [];
  const server = new MuxSession(
    { role: "server" },
    { onOpen: (opened) => channels.push(opened), onWantsWrite() {} },
    0,
  );
  server.receive(Uint8Array.from(sent), 0);
  assertEquals([server.failure, channels[1]!.bufferedBytes, far()], [undefined, 5, undefined]);
});

Deno.test("a frame waits for a window that takes all of it", () => {
  const near = new MuxSession({ role: "client", initialWindowBytes: 100 }, { onOpen() {}, onWantsWrite() {} }, 0);
  const channel = near.open()!;
  near.pull(new Uint8Array(500), 0);
  channel.offer(new Uint8Array(101), true);
  assertEquals(near.pull(new Uint8Array(500), 0), 0);
  const update = Uint8Array.of(2, 4, 8, 0, channel.id, 0, 0, 0, 0, 0, 0, 0, 101, 0, 0, 0);
  near.receive(update, 0);
  assertEquals(near.pull(new Uint8Array(500), 0), 8 + 101);
});
