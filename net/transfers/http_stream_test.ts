import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../protocol/errors.ts";
import { writeAll } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { memoryStreamPair } from "../memory.ts";
import { fieldOf, HttpStream } from "./http_stream.ts";

/** A stream to a server that says one thing, whatever it is asked, and then perhaps ends. */
function toServer(said: string, { ends = true } = {}): HttpStream {
  const [near, far] = memoryStreamPair(1 << 20);
  const bytes = Uint8Array.from(said, (character) => character.charCodeAt(0));
  void writeAll(far, bytes).then(() => ends ? far.closeWrite() : undefined).catch(() => {});
  return new HttpStream(near, new BufferPool({ maxBuffers: 4 }));
}

async function readAll(http: HttpStream, sizes: readonly number[] = [1000]): Promise<string> {
  let text = "";
  for (let turn = 0;; turn++) {
    const into = new Uint8Array(sizes[turn % sizes.length]!);
    const count = await http.read(into);
    if (count === null) return text;
    for (const byte of into.subarray(0, count)) text += String.fromCharCode(byte);
  }
}

const get = { method: "GET", target: "/" } as const;

Deno.test("an answer is read to its end, however it is framed, and no further", async () => {
  const rows: { name: string; said: string; body: string; isFree: boolean }[] = [
    { name: "a length", said: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello", isFree: true },
    { name: "nothing", said: "HTTP/1.1 204 No Content\r\n\r\n", body: "", isFree: true },
    {
      name: "chunks",
      said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
      body: "hello",
      isFree: true,
    },
    { name: "the end of the stream", said: "HTTP/1.1 200 OK\r\n\r\nhello", body: "hello", isFree: false },
    {
      name: "close is said",
      said: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
      body: "hello",
      isFree: false,
    },
    {
      name: "an early head before it",
      said: "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      body: "hi",
      isFree: true,
    },
  ];
  for (const { name, said, body, isFree } of rows) {
    for (const sizes of [[1000], [1], [3, 2]]) {
      using http = toServer(said);
      await http.ask(get);
      assertEquals(await readAll(http, sizes), body, name);
      assertEquals([http.isFree, http.isOver], [isFree, true], name);
    }
  }
});

Deno.test("one stream carries one exchange after another", async () => {
  const answer = (body: string) =>
    `HTTP/1.1 200 OK\r\nETag: "${body}"\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  using http = toServer(answer("one") + answer("three"));
  assertEquals(fieldOf(await http.ask(get), "etag"), '"one"');
  await assertRejects(() => http.ask(get), CulvertError, "another exchange");
  assertEquals(await readAll(http), "one");
  await http.ask(get);
  assertEquals(await readAll(http), "three");
});

Deno.test("what was asked is what is sent", async () => {
  const [near, far] = memoryStreamPair();
  using http = new HttpStream(near, new BufferPool({ maxBuffers: 4 }));
  const asking = http.ask({ ...get, target: "/a%20b", fields: [{ name: "Range", value: "bytes=0-1" }] });
  const into = new Uint8Array(1000);
  const count = await far.read(into);
  const text = new TextDecoder().decode(into.subarray(0, count!));
  assertEquals(text, "GET /a%20b HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\n\r\n");
  await writeAll(far, new TextEncoder().encode("HTTP/1.1 204 No Content\r\n\r\n"));
  assertEquals((await asking).status, 204);
  far.close();
});

Deno.test("an answer that is cut is never taken for a whole one", async () => {
  const rows = [
    "",
    "HTTP/1.1 200",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  ];
  for (const said of rows) {
    using http = toServer(said);
    const error = await assertRejects(async () => {
      await http.ask(get);
      await readAll(http);
    }, CulvertError);
    assertEquals(error.code, "cut_short", said);
  }
});

Deno.test("whatever a server says, it is an answer or an error, and what is read is no more than it sent", async () => {
  const piece = fc.constantFrom(
    "HTTP/1.1 200 OK\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "\r\n",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
  );
  const said = fc.array(fc.oneof(piece, fc.string({ maxLength: 20 })), { maxLength: 12 }).map((parts) =>
    parts.join("")
  );
  await fc.assert(
    fc.asyncProperty(said, async (said) => {
      const bytes = said.replace(/[^\0-\xff]/g, "?");
      using http = toServer(bytes);
      try {
        await http.ask(get);
        assert((await readAll(http)).length <= bytes.length);
      } catch (error) {
        assert(error instanceof CulvertError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});
