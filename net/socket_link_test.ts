import { assert, assertEquals, assertGreater, assertInstanceOf, assertLess, assertLessOrEqual } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { MuxConnection, type MuxStream } from "./mux.ts";
import { SocketLink } from "./socket_link.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A WebSocket object whose queue drains when the test says so. */
class FakeSocket {
  readyState: number = WebSocket.OPEN;
  bufferedAmount = 0;
  binaryType = "blob";
  closed = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  send(bytes: Uint8Array): void {
    this.bufferedAmount += bytes.length;
  }

  close(): void {
    this.closed++;
    this.readyState = WebSocket.CLOSING;
  }
}

/** A link on a fake socket with endless bytes to send. */
function fakeLink(): { socket: FakeSocket; clock: FakeClock; link: SocketLink; ends: unknown[]; heard: () => number } {
  const socket = new FakeSocket();
  const clock = new FakeClock();
  const link = new SocketLink(socket as unknown as WebSocket, clock);
  const ends: unknown[] = [];
  let heard = 0;
  link.start({
    onBytes: (bytes) => void (heard += bytes.length),
    fill: (into) => into.length,
    wantsBytes: () => true,
    onClose: (error) => void ends.push(error),
  });
  return { socket, clock, link, ends, heard: () => heard };
}

Deno.test("a socket is given bytes up to the limit, which grows when its queue runs dry", async () => {
  const { socket, clock, link } = fakeLink();
  await clock.advanceAsync(0);
  assertEquals(socket.bufferedAmount, 512 * KIB);
  for (const limit of [1, 2, 4, 4]) {
    socket.bufferedAmount = 0;
    await clock.advanceAsync(2);
    assertEquals(link.limitBytes, limit * MIB);
    assertEquals(socket.bufferedAmount, limit * MIB);
  }
  link.close();
});

Deno.test("a link that is woken before it is started waits for its start", async () => {
  const socket = new FakeSocket();
  const clock = new FakeClock();
  const link = new SocketLink(socket as unknown as WebSocket, clock);
  const connection = new MuxConnection(link, clock, { role: "client", extensions: true });
  void connection.open();
  await clock.advanceAsync(0);
  assertEquals(socket.bufferedAmount, 0);
  connection.start();
  await clock.advanceAsync(0);
  assert(socket.bufferedAmount > 0);
  connection.close();
  await clock.advanceAsync(2000);
});

Deno.test("the limit falls while a slow connection does not drain, and nothing is added meanwhile", async () => {
  const { socket, clock, link } = fakeLink();
  await clock.advanceAsync(0);
  await clock.advanceAsync(1000);
  assertEquals(link.limitBytes, 64 * KIB);
  assertEquals(socket.bufferedAmount, 512 * KIB);
  socket.bufferedAmount = 32 * KIB; // half of the limit: enough to go on, too little to grow
  await clock.advanceAsync(2);
  assertEquals(link.limitBytes, 64 * KIB);
  assertLessOrEqual(socket.bufferedAmount, 128 * KIB);
  link.close();
});

Deno.test("bytes of the peer make the link look again at once", async () => {
  const { socket, clock, heard } = fakeLink();
  await clock.advanceAsync(0);
  socket.bufferedAmount = 100;
  socket.onmessage!({ data: new ArrayBuffer(5) });
  assertEquals(heard(), 5);
  assertGreater(socket.bufferedAmount, 512 * KIB - 1);
  socket.readyState = WebSocket.CLOSED;
  socket.onclose!();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a text message ends the link as the peer's fault", async () => {
  const { socket, clock, ends } = fakeLink();
  await clock.advanceAsync(0);
  socket.onmessage!({ data: "hello" });
  assertEquals(socket.closed, 1);
  socket.onclose!();
  assertEquals(ends.length, 1);
  assertInstanceOf(ends[0], CulvertError);
});

Deno.test("a peer that never answers the close does not keep the link alive", async () => {
  const { socket, clock, link, ends } = fakeLink();
  await clock.advanceAsync(0);
  link.close();
  link.close();
  assertEquals(socket.closed, 1);
  await clock.advanceAsync(5000);
  assertEquals(ends, [undefined]);
  socket.onclose!();
  assertEquals(ends.length, 1);
  assertEquals(clock.pendingTimers, 0);
});

/** Two connections over a real WebSocket of the runtime, and one stream between them. */
async function overWebsocket(run: (a: MuxStream, b: MuxStream, socket: WebSocket) => Promise<void>): Promise<void> {
  const clock = clockOf(globalThis);
  const arrived = Promise.withResolvers<MuxStream>();
  let far: MuxConnection | undefined;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    far = new MuxConnection(new SocketLink(socket, clock), clock, { role: "server", extensions: true });
    far.onStream = (stream) => arrived.resolve(stream);
    far.start();
    return response;
  });
  const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
  const near = new MuxConnection(new SocketLink(socket, clock), clock, { role: "client", extensions: true });
  near.start();
  try {
    await run(near.open(), await arrived.promise, socket);
  } finally {
    near.close();
    await near.ended;
    await far?.ended;
    await server.shutdown();
  }
}

Deno.test("a large transfer over the runtime's own WebSocket arrives whole", async () => {
  await overWebsocket(async (a, b) => {
    const bytes = new Uint8Array(MIB);
    const writing = (async () => {
      for (let round = 0; round < 32; round++) {
        bytes.fill(round);
        await writeAll(a, bytes);
      }
      await a.closeWrite();
    })();
    const buffer = new Uint8Array(100_000);
    let at = 0;
    for (let count = await b.read(buffer); count !== null; count = await b.read(buffer)) {
      for (const place of [0, count - 1]) assertEquals(buffer[place], Math.floor((at + place) / MIB));
      at += count;
    }
    assertEquals(at, 32 * MIB);
    await writing;
  });
});

Deno.test("when the far reader stops, the socket's own queue stays short", async () => {
  await overWebsocket(async (a, b, socket) => {
    let most = 0;
    let written = 0;
    const chunk = new Uint8Array(64 * KIB);
    const writing = (async () => {
      for (;;) {
        written += await a.write(chunk);
        most = Math.max(most, socket.bufferedAmount);
      }
    })().catch(() => {});
    const first = new Uint8Array(10);
    assert(await b.read(first));
    for (let before = -1; before !== written;) {
      before = written;
      await new Promise((resolve) => void setTimeout(resolve, 50));
    }
    assertLess(written, 3 * MIB); // the window
    assertLess(most, 5 * MIB);
    assertEquals(socket.bufferedAmount, 0);
    a.abort();
    await writing;
  });
});
