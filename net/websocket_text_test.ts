import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { randomOf } from "../protocol/random.ts";
import { WebsocketFrameReader } from "../protocol/websocket.ts";
import { writeAll } from "../protocol/stream.ts";
import { settle } from "../testing/fake_clock.ts";
import { within } from "../testing/waiting.ts";
import { BufferPool } from "./buffer_pool.ts";
import { type MemoryStream, memoryStreamPair } from "./memory.ts";
import { acceptWebsocket, readWebsocketRequest, WebsocketLink } from "./websocket.ts";

const random = randomOf(crypto);

/** A link that takes texts of up to so many bytes, with endless bytes of its own to send if it likes. */
function textLink(stream: MemoryStream | Deno.TcpConn, options: { isClient?: boolean; floods?: boolean } = {}) {
  const heard: (string | number)[] = [];
  const ended = Promise.withResolvers<unknown>();
  const link = new WebsocketLink(stream, new BufferPool(), {
    ...(options.isClient && { random }),
    texts: {
      maxBytes: 1000,
      onText: (text) => heard.push(text),
      onTooLarge: () => heard.push("too large"),
    },
  });
  link.start({
    onBytes: (bytes) => heard.push(bytes.length),
    fill: (into) => options.floods ? into.length : 0,
    wantsBytes: () => true,
    onClose: (error) => ended.resolve(error),
  });
  return { link, heard, ended: ended.promise };
}

Deno.test("texts go both ways beside bytes, to and from the runtime's own WebSocket", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = new WebSocket(`ws://127.0.0.1:${listener.addr.port}/`);
  client.binaryType = "arraybuffer";
  const conn = await listener.accept();
  const request = await readWebsocketRequest(conn);
  await acceptWebsocket(conn, request!.key!);
  const { link, heard, ended } = textLink(conn);
  await within("open", new Promise((resolve) => client.onopen = resolve));
  const long = "ü".repeat(100_000);
  const got = new Promise((resolve) => client.onmessage = ({ data }) => resolve(data));
  link.sendText(long);
  assertEquals(await within("the long text", got), long);
  const closed = new Promise<CloseEvent>((resolve) => client.onclose = resolve);
  client.send("hello");
  client.send(new Uint8Array(3));
  client.send("again");
  client.close();
  assertEquals(await within("the end", ended), undefined);
  assertEquals(heard, ["hello", 3, "again"]);
  assert((await closed).wasClean);
  listener.close();
});

Deno.test("a text goes ahead of the bytes that wait, and a goodbye behind the texts", async () => {
  const [near, far] = memoryStreamPair(8192);
  const { link, ended } = textLink(near, { floods: true });
  const order: string[] = [];
  const reader = new WebsocketFrameReader("client", {
    onData: () => void (order.at(-1) !== "bytes" && order.push("bytes")),
    onText: (bytes) => void order.push(new TextDecoder().decode(bytes)),
    onPing: () => {},
    onClose: (code) => void order.push(`close ${code}`),
  });
  const buffer = new Uint8Array(4096);
  const readOn = async (times: number) => {
    for (let time = 0; time < times; time++) reader.read(buffer.subarray(0, (await far.read(buffer))!));
  };
  await readOn(5);
  link.sendText("one");
  await settle();
  await readOn(300);
  link.sendText("two");
  link.sendText("three");
  link.sayGoodbye();
  link.sendText("too late");
  while (!order.includes("close 1000")) await readOn(1);
  assertEquals(order, ["bytes", "one", "bytes", "two", "three", "close 1000"]);
  far.close();
  await ended;
});

Deno.test("a text that is too long or no UTF-8 ends the link", async () => {
  const rows = [
    { name: "too large in one piece", payload: new Uint8Array(1001).fill(97), heard: ["too large"], says: "too large" },
    { name: "not UTF-8", payload: Uint8Array.of(0xc3, 0x28), heard: [], says: "not UTF-8" },
  ];
  for (const { name, payload, heard: wanted, says } of rows) {
    const [near, far] = memoryStreamPair();
    const { heard, ended } = textLink(near);
    const length = payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length & 0xff];
    await writeAll(far, Uint8Array.of(0x81, ...length, 0, 0, 0, 0, ...payload));
    assertStringIncludes(String(await ended), says, name);
    assertEquals(heard, wanted, name);
  }
});

Deno.test("a peer that reads no texts loses the link before they pile up", async () => {
  const [near] = memoryStreamPair(1024);
  const { link, ended } = textLink(near);
  for (let count = 0; count < 10; count++) link.sendText("x".repeat(50_000));
  assertStringIncludes(String(await ended), "does not read");
});
