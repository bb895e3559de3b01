import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { clockOf } from "../protocol/clock.ts";
import { randomOf } from "../protocol/random.ts";
import type { Stream } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { memoryStreamPair } from "./memory.ts";
import { TextSocket, type TextSocketHandlers, type TextSocketOptions } from "./text_socket.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

class Heard implements TextSocketHandlers {
  readonly texts: string[] = [];
  binaries = 0;
  readonly closed = Promise.withResolvers<unknown>();
  onText(text: string): void {
    this.texts.push(text);
  }
  onBinary(): void {
    this.binaries++;
  }
  onClose(error?: unknown): void {
    this.closed.resolve(error);
  }
}

function pair(options: Partial<TextSocketOptions> = {}) {
  const [near, far] = memoryStreamPair();
  const client = new TextSocket(near, { clock, random });
  const server = new TextSocket(far, { clock, ...options });
  const [atClient, atServer] = [new Heard(), new Heard()];
  client.start(atClient);
  server.start(atServer);
  return { client, server, atClient, atServer };
}

Deno.test("texts of every kind arrive whole and in order, both ways", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "grapheme", maxLength: 3000 }), { maxLength: 20 }), async (texts) => {
      const { client, server, atClient, atServer } = pair();
      for (const text of texts) {
        client.send(text);
        server.send(text);
      }
      client.close();
      assertEquals(await atServer.closed.promise, undefined);
      assertEquals(await atClient.closed.promise, undefined);
      assertEquals(atServer.texts, texts);
      assertEquals(atClient.texts.every((text, at) => text === texts[at]), true);
    }),
    { numRuns: 50 },
  );
});

Deno.test("what was sent before closing arrives before the goodbye", async () => {
  const { server, atClient } = pair();
  server.send("refused");
  server.close(1008, "refused");
  await atClient.closed.promise;
  assertEquals(atClient.texts, ["refused"]);
});

Deno.test("a message beyond the limit ends the socket, and nothing of it is told", async () => {
  const { client, atServer, atClient } = pair({ maxMessageBytes: 1000 });
  client.send("x".repeat(1000));
  client.send("y".repeat(1001));
  assertEquals((await atServer.closed.promise as { code: string }).code, "too_large");
  await atClient.closed.promise;
  assertEquals(atServer.texts, ["x".repeat(1000)]);
});

Deno.test("a peer that does not read loses the socket", async () => {
  const [near, far] = memoryStreamPair();
  using _unread: Stream = near;
  const server = new TextSocket(far, { clock, maxQueuedBytes: 4096 });
  const heard = new Heard();
  server.start(heard);
  for (let count = 0; count < 10_000; count++) server.send("x".repeat(1000));
  assertEquals((await heard.closed.promise as { code: string }).code, "too_slow");
});

Deno.test("a peer that never says goodbye is waited for no longer than that", async () => {
  const fake = new FakeClock();
  const [near, far] = memoryStreamPair();
  using _silent: Stream = near;
  const server = new TextSocket(far, { clock: fake, lingerMs: 2000 });
  const heard = new Heard();
  server.start(heard);
  server.close();
  fake.advance(2001);
  assertEquals(await heard.closed.promise, undefined);
});

Deno.test("any bytes end in texts, a goodbye or a fault, never in an exception", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), async (pieces) => {
      const [near, far] = memoryStreamPair();
      const server = new TextSocket(far, { clock, lingerMs: 0 });
      const heard = new Heard();
      server.start(heard);
      try {
        for (const piece of pieces) await near.write(piece);
        await near.closeWrite();
      } catch {
        // The server has closed first.
      }
      near.close();
      await heard.closed.promise;
    }),
    { numRuns: 200 },
  );
});
