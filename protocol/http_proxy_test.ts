import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { CHUNK_LEAD_BYTES, ChunkedDecoder, frameChunk, requestFraming } from "./http_body.ts";
import {
  encodeRequestHead,
  encodeResponseHead,
  type Field,
  parseFieldLines,
  parseRequestHead,
  parseResponseHead,
} from "./http_head.ts";
import {
  forwardRequestFields,
  forwardTrailers,
  parseAbsoluteForm,
  parseProxyAuthorization,
  persists,
  upgradeOf,
} from "./http_proxy.ts";

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/);
const value = fc.stringMatching(/^[!-~\x80-\xff]([ \t!-~\x80-\xff]{0,20}[!-~\x80-\xff])?$/);
const fields = fc.array(fc.record({ name: token, value: fc.oneof(value, fc.constant("")) }), { maxLength: 20 });
const request = fc.record({
  method: token,
  target: fc.stringMatching(/^[!-~]{1,40}$/),
  minor: fc.constant(1),
  fields,
});
const response = fc.record({
  status: fc.integer({ min: 100, max: 999 }),
  reason: fc.oneof(value, fc.constant("")),
  minor: fc.constant(1),
  fields,
});

Deno.test("HTTP heads: what is encoded is parsed, however it is cut, and what follows is left", () => {
  const rows = [
    { made: request.map((head) => ({ head, bytes: encodeRequestHead(head) })), parse: parseRequestHead },
    { made: response.map((head) => ({ head, bytes: encodeResponseHead(head) })), parse: parseResponseHead },
  ];
  for (
    const { made, parse } of rows as {
      made: fc.Arbitrary<{ head: unknown; bytes: Uint8Array }>;
      parse: typeof parseRequestHead;
    }[]
  ) {
    fc.assert(fc.property(made, fc.uint8Array({ maxLength: 9 }), fc.nat(), ({ head, bytes }, after, at) => {
      const cut = at % bytes.length;
      assertEquals(parse(bytes.subarray(0, cut)), { status: "more" });
      assertEquals(
        parse(Uint8Array.of(...bytes, ...after), cut),
        { status: "done", value: head, length: bytes.length } as never,
      );
    }));
  }
});

Deno.test("HTTP heads: neither any bytes nor changed ones make the parsers throw or read too far", () => {
  const arbitrary = fc.uint8Array({ maxLength: 300 });
  const changed = fc.tuple(request, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([head, at, byte]) => {
    const bytes = encodeRequestHead(head);
    bytes[at % bytes.length] = byte;
    return bytes;
  });
  fc.assert(fc.property(fc.oneof(arbitrary, changed), (bytes) => {
    for (const parsed of [parseRequestHead(bytes), parseResponseHead(bytes)]) {
      if (parsed.status !== "done") continue;
      assert(parsed.length <= bytes.length);
      assert(parsed.value.fields.every((field: Field) => !/[\0\r\n]/.test(field.name + field.value)));
    }
  }));
});

Deno.test("HTTP heads: one empty line before a request is skipped", () => {
  const parsed = parseRequestHead(new TextEncoder().encode("\r\nGET / HTTP/1.1\r\n\r\n"));
  assert(parsed.status === "done");
  assertEquals([parsed.value.method, parsed.length], ["GET", 20]);
});

Deno.test("HTTP heads: a value of blanks and many fields take no more than linear time or are refused", () => {
  const blanks = encodeRequestHead({
    method: "GET",
    target: "/",
    fields: [{ name: "x", value: " \t".repeat(15_000) + "x" }],
  });
  assertEquals(parseRequestHead(blanks).status, "done");
  const many = encodeRequestHead({ method: "GET", target: "/", fields: Array(5_000).fill({ name: "a", value: "" }) });
  assertEquals(parseRequestHead(many).status, "bad");
});

/** Decodes chunked bytes that arrive in pieces of the given sizes. */
function decode(bytes: Uint8Array, sizes: readonly number[]) {
  const decoder = new ChunkedDecoder();
  const data: number[] = [];
  let at = 0;
  for (let piece = 0; at < bytes.length && !decoder.finished; piece++) {
    const buffer = bytes.slice(at, at + Math.max(1, sizes[piece % sizes.length]!));
    if (!decoder.decode(buffer, 0, buffer.length)) return { data, bad: true, at, decoder };
    assert(decoder.dataEnd <= decoder.next && decoder.next <= buffer.length);
    data.push(...buffer.subarray(0, decoder.dataEnd));
    at += decoder.next;
  }
  return { data, bad: false, at, decoder };
}

const pieces = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });

Deno.test("chunks: what is framed is decoded, in pieces of any size, and what follows is left", () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });
  fc.assert(fc.property(chunks, pieces, fc.uint8Array({ maxLength: 9 }), (chunks, sizes, after) => {
    const framed = chunks.flatMap((chunk) => {
      const buffer = new Uint8Array(chunk.length + 32);
      buffer.set(chunk, CHUNK_LEAD_BYTES);
      return [...frameChunk(buffer, CHUNK_LEAD_BYTES, CHUNK_LEAD_BYTES + chunk.length)];
    });
    const end = new TextEncoder().encode("0;x=y\r\nX-Sum: 1\r\n\r\n");
    const bytes = Uint8Array.of(...framed, ...end, ...after);
    const { data, at, decoder } = decode(bytes, sizes);
    assertEquals(data, chunks.flatMap((chunk) => [...chunk]));
    assertEquals([decoder.finished, at], [true, bytes.length - after.length]);
    assertEquals(decoder.trailers, [{ name: "X-Sum", value: "1" }]);
  }));
});

Deno.test("chunks: any bytes decode the same in one piece and in many, and never too far", () => {
  const alphabet = fc.constantFrom(...new TextEncoder().encode("01aAfF;= \r\n\r\n\tx"));
  const like = fc.array(alphabet, { maxLength: 80 }).map((bytes) => Uint8Array.from(bytes));
  fc.assert(fc.property(fc.oneof(like, fc.uint8Array({ maxLength: 80 })), pieces, (bytes, sizes) => {
    const whole = decode(bytes, [Math.max(1, bytes.length)]);
    const parts = decode(bytes, sizes);
    assertEquals([parts.bad, parts.decoder.finished], [whole.bad, whole.decoder.finished]);
    if (!whole.bad) assertEquals([parts.data, parts.at], [whole.data, whole.at]);
  }));
});

Deno.test("chunks: extensions and trailers without end are refused", () => {
  for (const start of ["1;", "0\r\nX: "]) {
    const decoder = new ChunkedDecoder();
    const bytes = new TextEncoder().encode(start + "x".repeat(20_000));
    assertEquals(decoder.decode(bytes, 0, bytes.length), false);
  }
});

const forms: [target: string, expected: [host: string, port: number, path: string] | undefined][] = [
  ["http://a", ["a", 80, "/"]],
  ["HTTP://a:8080/x?y", ["a", 8080, "/x?y"]],
  ["http://a?y", ["a", 80, "/?y"]],
  ["http://[::1]:81/", ["::1", 81, "/"]],
  ["http:///x", undefined],
  ["http://a:0/", undefined],
  ["http://a:65536/", undefined],
  ["http://u:p@a/", undefined],
  ["http://a/#f", undefined],
  ["ftp://a/", undefined],
  ["/x", undefined],
];

Deno.test("the absolute form is taken apart, and refused when it is not plain http", () => {
  for (const [target, expected] of forms) {
    const form = parseAbsoluteForm({ method: "GET", target });
    assertEquals(form && [form.target.host, form.target.port, form.path], expected, target);
  }
  fc.assert(
    fc.property(fc.string(), (target) => void parseAbsoluteForm({ method: "GET", target: `http://${target}` })),
  );
});

function headOf(...lines: string[]) {
  return {
    method: "GET",
    target: "/",
    minor: 1,
    fields: parseFieldLines(lines.map((line) => `${line}\r\n`).join(""))!,
  };
}

Deno.test("a field that Connection names cannot take the framing or the Host along", () => {
  const head = headOf("Host: evil", "Connection: Host, Content-Length, X", "Content-Length: 5", "X: y");
  const forwarded = forwardRequestFields(head, "good", { framing: requestFraming(head) });
  assertEquals(forwarded, [{ name: "Host", value: "good" }, { name: "Content-Length", value: "5" }]);
});

Deno.test("trailers cannot set what the head already decided", () => {
  const trailers = parseFieldLines("Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nX-Sum: 1\r\n")!;
  assertEquals(forwardTrailers(trailers), [{ name: "X-Sum", value: "1" }]);
});

Deno.test("connections persist in HTTP/1.1 unless closed; upgrades need both fields", () => {
  assertEquals(persists(headOf()), true);
  assertEquals(persists(headOf("connection: Keep-Alive, CLOSE")), false);
  assertEquals(persists({ ...headOf("Connection: keep-alive"), minor: 0 }), false);
  assertEquals(upgradeOf(headOf("Upgrade: websocket")), undefined);
  assertEquals(upgradeOf(headOf("Upgrade: websocket", "Connection: keep-alive, Upgrade")), "websocket");
});

Deno.test("Basic credentials: read as UTF-8 up to the first colon, and anything else is none", () => {
  assertEquals(parseProxyAuthorization(headOf("Proxy-Authorization: BASIC YTpiOmM=")), { user: "a", password: "b:c" });
  assertEquals(parseProxyAuthorization(headOf("Proxy-Authorization: Basic w7w6")), { user: "ü", password: "" });
  for (const value of ["", "Basic", "Basic !", "Bearer YTpi", "Basic YTpi, Basic YTpi", "Basic YQ==", "Basic Y"]) {
    assertEquals(parseProxyAuthorization(headOf(`Proxy-Authorization: ${value}`)), undefined, value);
  }
  fc.assert(fc.property(fc.string(), (value) => {
    parseProxyAuthorization({ ...headOf(), fields: [{ name: "Proxy-Authorization", value: `Basic ${value}` }] });
  }));
});
