import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import type { Parsed } from "./parse.ts";
import {
  encodeCredentials,
  encodeDatagramHeader,
  encodeGreeting,
  encodeMethodChoice,
  encodePasswordStatus,
  encodeReply,
  encodeRequest,
  parseCredentials,
  parseDatagram,
  parseGreeting,
  parseMethodChoice,
  parsePasswordStatus,
  parseReply,
  parseRequest,
} from "./socks.ts";
import { encodeSocks4Reply, encodeSocks4Request, parseSocks4Reply, parseSocks4Request } from "./socks4.ts";
import { formatV6, parseV4, parseV6 } from "./socks_address.ts";

const parsers: [name: string, parse: (bytes: Uint8Array) => Parsed<unknown>][] = [
  ["greeting", parseGreeting],
  ["method choice", parseMethodChoice],
  ["credentials", parseCredentials],
  ["password status", parsePasswordStatus],
  ["request", parseRequest],
  ["reply", parseReply],
  ["SOCKS4 request", parseSocks4Request],
  ["SOCKS4 reply", parseSocks4Reply],
];

const v4 = fc.ipV4();
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(formatV6);
const name = fc.stringMatching(/^[a-z0-9-]{1,30}(\.[a-z]{1,20}){1,3}$/);
const port = fc.integer({ min: 0, max: 65535 });
const target = fc.record({ host: fc.oneof(v4, v6, name), port });
const byte = fc.integer({ min: 0, max: 255 });
const short = fc.string({ unit: "grapheme", maxLength: 40 });

interface Codec {
  readonly name: string;
  /** A message and its bytes. */
  readonly made: fc.Arbitrary<{ readonly value: unknown; readonly bytes: Uint8Array }>;
  readonly parse: (bytes: Uint8Array) => Parsed<unknown>;
}

function codec<T>(
  name: string,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array | undefined,
  parse: Codec["parse"],
): Codec {
  return { name, parse, made: values.map((value) => ({ value, bytes: encode(value)! })) };
}

const codecs: Codec[] = [
  codec(
    "greeting",
    fc.uint8Array({ maxLength: 255 }).map((methods) => ({ methods })),
    ({ methods }) => encodeGreeting([...methods]),
    parseGreeting,
  ),
  codec("method choice", byte, encodeMethodChoice, parseMethodChoice),
  codec("credentials", fc.record({ user: short, password: short }), encodeCredentials, parseCredentials),
  codec("password status", fc.boolean(), encodePasswordStatus, parsePasswordStatus),
  codec("request", fc.record({ command: byte, target }), encodeRequest, parseRequest),
  codec(
    "reply",
    fc.record({ reply: byte, bound: target }),
    ({ reply, bound }) => encodeReply(reply, bound),
    parseReply,
  ),
  codec(
    "SOCKS4 request",
    fc.record({
      command: byte,
      target: fc.record({ host: fc.oneof(v4.filter((host) => !host.startsWith("0.0.0.")), name), port }),
      user: short.filter((user) => !user.includes("\0")),
    }),
    encodeSocks4Request,
    parseSocks4Request,
  ),
  codec(
    "SOCKS4 reply",
    fc.record({ code: byte, bound: fc.record({ host: v4, port }) }),
    ({ code, bound }) => encodeSocks4Reply(code, bound),
    parseSocks4Reply,
  ),
];

for (const { name, made, parse } of codecs) {
  Deno.test(`SOCKS ${name}: what is encoded is parsed, every beginning of it asks for more, and what follows is left`, () => {
    fc.assert(fc.property(made, fc.uint8Array({ maxLength: 9 }), ({ value, bytes }, after) => {
      assertEquals(parse(Uint8Array.of(...bytes, ...after)), { status: "done", value, length: bytes.length });
      for (let length = 0; length < bytes.length; length++) {
        assertEquals(parse(bytes.subarray(0, length)).status, "more");
      }
    }));
  });

  Deno.test(`SOCKS ${name}: a changed byte never makes the parser throw or read past its input`, () => {
    fc.assert(fc.property(made, fc.nat(), byte, ({ bytes }, at, changed) => {
      if (bytes.length === 0) return;
      const copy = bytes.slice();
      copy[at % copy.length] = changed;
      const parsed = parse(copy);
      assert(parsed.status !== "done" || parsed.length <= copy.length);
    }));
  });
}

for (const [name, parse] of parsers) {
  Deno.test(`SOCKS ${name}: any bytes are parsed, refused, or asked to go on, up to a bound`, () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
      const parsed = parse(bytes);
      assert(parsed.status !== "done" || parsed.length <= bytes.length);
      assert(parsed.status !== "more" || bytes.length < 600);
    }));
  });
}

Deno.test("SOCKS5 datagrams: header and data come apart again; fragments and noise are dropped", () => {
  fc.assert(fc.property(target, fc.uint8Array(), (address, data) => {
    const header = encodeDatagramHeader(address)!;
    const datagram = Uint8Array.of(...header, ...data);
    assertEquals(parseDatagram(datagram), { address, dataAt: header.length });
    assertEquals(parseDatagram(datagram.subarray(0, header.length - 1)), undefined);
    datagram[2] = 1;
    assertEquals(parseDatagram(datagram), undefined);
  }));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    const parsed = parseDatagram(bytes);
    assert(parsed === undefined || parsed.dataAt <= bytes.length);
  }));
});

Deno.test("SOCKS host names with control characters, spaces or bytes above ASCII are refused", () => {
  for (const host of ["", "a b", "a\0b", "a\r\nb", "müller.example", "x".repeat(256)]) {
    assertEquals(encodeRequest({ command: 1, target: { host, port: 1 } }), undefined, host);
    assertEquals(encodeSocks4Request({ command: 1, target: { host, port: 1 }, user: "" }), undefined, host);
  }
  assertEquals(parseRequest(Uint8Array.of(5, 1, 0, 3, 1, 10, 0, 80)).status, "bad");
  assertEquals(parseRequest(Uint8Array.of(5, 1, 0, 3, 0, 0, 80)).status, "bad");
  assertEquals(parseRequest(Uint8Array.of(5, 1, 0, 2, 0, 0, 80)).status, "bad");
});

const v6Rows: [text: string, canonical: string | undefined][] = [
  ["::", "::"],
  ["::1", "::1"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["1::", "1::"],
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["1:2:3:4:5:6:7", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["1::2::3", undefined],
  ["12345::", undefined],
  [":1", undefined],
  ["1:", undefined],
  ["::1.2.3", undefined],
  ["1.2.3.4::", undefined],
  ["::1:2:3:4:5:6:7:8", undefined],
  ["fe80::1%eth0", undefined],
];

Deno.test("IPv6 texts are read as RFC 4291 has them and written as RFC 5952 does", () => {
  for (const [text, canonical] of v6Rows) {
    const bytes = parseV6(text);
    assertEquals(bytes && formatV6(bytes), canonical, text);
  }
});

Deno.test("IPv4 texts other than plain dotted quads are names, not addresses", () => {
  for (const text of ["1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "0x7f.0.0.1", "1.2.3.4.", " 1.2.3.4"]) {
    assertEquals(parseV4(text), undefined, text);
  }
  assertEquals(parseV4("127.0.0.255"), Uint8Array.of(127, 0, 0, 255));
});
