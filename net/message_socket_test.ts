import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { clockOf } from "../protocol/clock.ts";
import { randomOf } from "../protocol/random.ts";
import { BufferPool } from "./buffer_pool.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { memoryStreamPair } from "./memory.ts";
import { MessageSocket, type MessageSocketHandlers, type MessageSocketOptions } from "./message_socket.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

class Heard implements MessageSocketHandlers {
  readonly messages: Uint8Array[] = [];
  readonly closed = Promise.withResolvers<{ error: unknown; code: number | undefined }>();
  onMessage(message: Uint8Array): void {
    this.messages.push(message.slice());
  }
  onClose(error?: unknown, code?: number): void {
    this.closed.resolve({ error, code });
  }
}

function pair(options: Partial<MessageSocketOptions> = {}) {
  const pool = new BufferPool({ bufferBytes: 64 * 1024 });
  const [near, far] = memoryStreamPair();
  const client = new MessageSocket(near, { clock, random, pool, ...options });
  const server = new MessageSocket(far, { clock, pool, ...options });
  const [atClient, atServer] = [new Heard(), new Heard()];
  client.start(atClient);
  return { client, server, atClient, atServer, pool, near, far };
}

Deno.test("messages of every size arrive whole and in order, both ways", async () => {
  const sizes = fc.oneof(fc.nat(300), fc.nat(100_000));
  await fc.assert(
    fc.asyncProperty(fc.array(sizes, { maxLength: 6 }), async (lengths) => {
      const { client, server, atClient, atServer, pool } = pair({ maxQueuedBytes: 1_000_000 });
      server.start(atServer);
      const messages = lengths.map((length) => crypto.getRandomValues(new Uint8Array(length % 60_000)));
      for (const message of messages) {
        assert(client.send(message.subarray(0, 7), message.subarray(7)));
        assert(server.send(message));
      }
      client.close(4000);
      assertEquals(await atServer.closed.promise, { error: undefined, code: 4000 });
      await atClient.closed.promise;
      assertEquals(atServer.messages, messages);
      assertEquals(atClient.messages, messages.slice(0, atClient.messages.length));
      assertEquals(pool.lent, 0);
    }),
    { numRuns: 30 },
  );
});

Deno.test("a message is at most as long as it may be", async () => {
  const { client, server, atClient, atServer } = pair({ maxMessageBytes: 1000 });
  server.start(atServer);
  client.send(new Uint8Array(1000));
  client.send(new Uint8Array(1001));
  const { error } = await atServer.closed.promise;
  assertEquals(String(error), "CulvertError: The peer sent a message that is too large");
  assertEquals(atServer.messages.map((message) => message.length), [1000]);
  assertEquals((await atClient.closed.promise).code, 1009);
});

Deno.test("who sends to one that does not read is told to hold back, then what it sends is dropped", async () => {
  const { client, server, atServer, atClient, pool } = pair({ fullBytes: 100_000, maxQueuedBytes: 200_000 });
  const writable = Promise.withResolvers<void>();
  client.onWritable = writable.resolve;
  let sent = 0;
  while (client.isWritable) {
    assert(client.send(new Uint8Array(10_000)));
    sent++;
    await Promise.resolve();
  }
  while (client.send(new Uint8Array(10_000))) sent++;
  assert(client.queuedBytes <= 200_000);
  server.start(atServer);
  await writable.promise;
  assert(client.isWritable);
  client.close();
  await Promise.all([atServer.closed.promise, atClient.closed.promise]);
  assertEquals(atServer.messages.length, sent);
  assertEquals(pool.lent, 0);
});

Deno.test("disposing ends at once, whatever is queued, and gives every buffer back", async () => {
  const { client, atClient, pool, far } = pair();
  client.send(new Uint8Array(200_000));
  await Promise.resolve();
  client[Symbol.dispose]();
  assert(!client.send(new Uint8Array(1)));
  assertEquals((await atClient.closed.promise).error, undefined);
  far.close();
  await Promise.resolve();
  assertEquals(pool.lent, 0);
});

Deno.test("text is refused", async () => {
  const { atClient, far } = pair({ lingerMs: 1 });
  await far.write(Uint8Array.of(0x81, 1, 65));
  const { error } = await atClient.closed.promise;
  assertEquals(String(error), "CulvertError: The peer broke the WebSocket protocol: unsupported_data");
  far.close();
});

Deno.test("who does not end a message in time is let go, and who only sends many is not", async () => {
  const clock = new FakeClock();
  const { client, server, atServer, near } = pair({ clock, messageMs: 1000 });
  server.start(atServer);
  for (let turn = 0; turn < 30; turn++) {
    client.send(new Uint8Array(6000));
    await clock.advanceAsync(100);
  }
  assertEquals(atServer.messages.length, 30);
  await near.write(Uint8Array.of(0x82, 0xfe, 0x10, 0, 0, 0, 0, 0, 1, 2, 3)); // 4,096 bytes are said to come
  await clock.advanceAsync(2500);
  client[Symbol.dispose]();
  const { error } = await atServer.closed.promise;
  assertStringIncludes(String(error), "took too long");
  assertEquals(clock.pendingTimers, 0);
});
