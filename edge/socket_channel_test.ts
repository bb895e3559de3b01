import { assertEquals, assertStringIncludes } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import type { ChannelBounds, MessageChannel } from "../protocol/message_channel.ts";
import { within } from "../testing/waiting.ts";
import { webSocketUpgrade } from "./web_socket_upgrade.ts";

const clock = clockOf(globalThis);
const BOUNDS: ChannelBounds = { maxMessageBytes: 1000, maxQueuedBytes: 200_000 };

interface End {
  readonly error: unknown;
  readonly code: number | undefined;
}

/** Echoes what comes; `closed` tells how the server's channel ended. */
class Server implements AsyncDisposable {
  readonly closed = Promise.withResolvers<End>();
  readonly channel = Promise.withResolvers<MessageChannel>();
  readonly #server;

  constructor() {
    const upgrade = webSocketUpgrade(clock);
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { response, channel } = upgrade(request, BOUNDS);
      channel.start({
        onMessage: (message) => void channel.send(message.subarray(0, 1), message.subarray(1)),
        onClose: (error, code) => this.closed.resolve({ error, code }),
      });
      this.channel.resolve(channel);
      return response;
    });
  }

  async open(): Promise<{ readonly socket: WebSocket; readonly closed: Promise<number> }> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#server.addr.port}/`);
    socket.binaryType = "arraybuffer";
    const closed = new Promise<number>((resolve) => socket.onclose = ({ code }) => resolve(code));
    await new Promise<void>((resolve) => socket.onopen = () => resolve());
    return { socket, closed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

Deno.test("messages go both ways, and a goodbye is heard with its code", async () => {
  await using server = new Server();
  const { socket, closed } = await server.open();
  const answer = new Promise<Uint8Array>((resolve) => socket.onmessage = ({ data }) => resolve(new Uint8Array(data)));
  socket.send(Uint8Array.of(1, 2, 3));
  assertEquals(await within("the answer", answer), Uint8Array.of(1, 2, 3));
  socket.close(4001);
  assertEquals(await within("the end", server.closed.promise), { error: undefined, code: 4001 });
  await closed;
});

const faults = [
  { name: "text", message: "hello", says: "not binary" },
  { name: "too large a message", message: new Uint8Array(1001), says: "too large" },
];

for (const { name, message, says } of faults) {
  Deno.test(`${name} is the end of the channel`, async () => {
    await using server = new Server();
    const { socket, closed } = await server.open();
    socket.send(message);
    const { error } = await within("the end", server.closed.promise);
    assertStringIncludes(String(error), says);
    await closed;
  });
}

Deno.test("what would queue beyond the bound is dropped, and nothing is sent after the goodbye", async () => {
  await using server = new Server();
  const { closed } = await server.open();
  const channel = await server.channel.promise;
  const message = new Uint8Array(100_000);
  let taken = 0;
  while (taken < 1000 && channel.send(message)) taken++;
  assertEquals(taken < 1000, true, "nothing was dropped");
  assertEquals(channel.queuedBytes <= BOUNDS.maxQueuedBytes, true);
  channel.close(4409, "another listens");
  assertEquals(channel.send(message), false);
  assertEquals(await within("the goodbye", closed), 4409);
  await within("the end", server.closed.promise);
});

Deno.test("disposing ends a channel at once, and leaves no timer", async () => {
  await using server = new Server();
  const { closed } = await server.open();
  const channel = await server.channel.promise;
  channel[Symbol.dispose]();
  await within("the end", server.closed.promise);
  channel[Symbol.dispose]();
  assertEquals(channel.send(Uint8Array.of(1)), false);
  await within("the goodbye", closed);
});
