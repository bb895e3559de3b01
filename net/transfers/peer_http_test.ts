import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { memoryStreamPair } from "../memory.ts";
import type { PeerConnection } from "../peers/peer_connection.ts";
import { PeerHttp } from "./peer_http.ts";

const encoder = new TextEncoder();

/** Asks a peer that says what the test says, when it says it. */
class World implements Disposable {
  readonly clock = new FakeClock();
  readonly peer: Stream;
  readonly http: PeerHttp;

  constructor() {
    const [near, far] = memoryStreamPair(1 << 20);
    this.peer = far;
    const connection = {
      ...{ peerId: "a".repeat(26), way: "direct", via: "192.0.2.1:1", rttMs: undefined, isClosed: false },
      ...{ ended: Promise.resolve(), open: () => Promise.resolve(near), close() {} },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    } satisfies PeerConnection;
    this.http = new PeerHttp({ connect: () => Promise.resolve(connection), clock: this.clock });
  }

  async say(text: string): Promise<void> {
    await writeAll(this.peer, encoder.encode(text));
    await settle();
  }

  [Symbol.dispose](): void {
    this.http.close();
  }
}

Deno.test("a body that trickles is given up, and one that is slow is not", async () => {
  for (const { bytesEach, gives } of [{ bytesEach: 10, gives: "timeout" }, { bytesEach: 2600, gives: "all" }]) {
    using world = new World();
    const asking = world.http.request({ method: "GET", target: "/" });
    await world.say(`HTTP/1.1 200 OK\r\nContent-Length: ${8 * bytesEach}\r\n\r\n`);
    using answer = await asking;
    const readAll = async () => {
      for (let left = 8; left > 0; left--) {
        const reading = answer.read(new Uint8Array(bytesEach));
        world.clock.advance(10_000);
        await Promise.all([reading, world.say("x".repeat(bytesEach))]);
        world.clock.advance(100_000); // what its reader does meanwhile does not count
      }
      return "all";
    };
    assertEquals(await readAll().catch((error) => error.code), gives);
  }
});

Deno.test("what is read whole must be there within a minute, however it comes", async () => {
  using world = new World();
  const schema = { safeParse: (data: unknown) => ({ success: true, data } as const) };
  const asking = assertRejects(() => world.http.json({ target: "/", schema, deed: "look" }), CulvertError);
  await settle();
  await world.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
  for (let tens = 0; tens < 6; tens++) {
    await world.say("x".repeat(10_000));
    world.clock.advance(10_000);
    await settle();
  }
  const { code, message } = await asking;
  assertEquals(code, "timeout");
  assertStringIncludes(message, "Cannot look: no answer within 60000 ms");
});
