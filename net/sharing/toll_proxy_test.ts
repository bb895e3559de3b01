import { assertEquals } from "@std/assert";
import type { DialOptions, Path, Stream, Target } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { within } from "../../testing/waiting.ts";
import { LoopbackPath, TestProxy, TestServer } from "../proxy/fixtures/test_kit.ts";
import { BoothDouble } from "./fixtures/toll_double.ts";
import { TollStream, type TollWatch } from "./toll_stream.ts";

/** Straight to the network, for money. */
class TollPath extends LoopbackPath implements Path {
  readonly booth = new BoothDouble();
  counted = 0;
  readonly #ended = Promise.withResolvers<void>();

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  override async dial(target: Target, options?: DialOptions): Promise<Stream> {
    const watch: TollWatch = {
      clock: new FakeClock(),
      carried: (direction, bytes) => {
        if (direction === "down") this.counted += bytes;
        return undefined;
      },
      paceMs: () => 0,
      ended: () => this.#ended.resolve(),
    };
    return new TollStream(await super.dial(target, options), this.booth.toll(), watch);
  }
}

const BODY_BYTES = 100_000;

const exchanges = [
  { name: "a connection that is kept", request: "HTTP/1.1\r\nHost: x\r\n\r\n", answer: "" },
  { name: "a client that wants no more", request: "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answer: "" },
  { name: "a client of HTTP/1.0", request: "HTTP/1.0\r\n\r\n", answer: "" },
  { name: "an origin that wants no more", request: "HTTP/1.1\r\nHost: x\r\n\r\n", answer: "Connection: close\r\n" },
];

for (const { name, request, answer } of exchanges) {
  Deno.test(`Of plain HTTP every byte of the answer is charged, once: ${name}`, async () => {
    using path = new TollPath();
    using server = new TestServer();
    await using proxy = new TestProxy({ path });
    using client = await proxy.connect();
    const accepted = server.accept();
    await client.send(`GET http://site.test:${server.port}/ ${request}`);
    const far = await accepted;
    await far.until("\r\n\r\n");
    const head = `HTTP/1.1 200 OK\r\n${answer}Content-Length: ${BODY_BYTES}\r\n\r\n`;
    await far.send(head + "x".repeat(BODY_BYTES));
    await client.until("\r\n\r\n");
    await client.take(BODY_BYTES);
    far.close();
    client.close();
    await within("the end of the stream", path.ended);
    assertEquals([path.booth.passed.down, path.counted], [head.length + BODY_BYTES, head.length + BODY_BYTES]);
    assertEquals(path.booth.asideBytes, 0);
  });
}
