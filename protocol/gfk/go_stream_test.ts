import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { done } from "../parse.ts";
import { encodeGoRequest, GoReply, type GoRequest, goStreamKey, parseGoRequest } from "./go_stream.ts";

const key = goStreamKey("secret");

/** Made with Python's hmac from the facts of the reference. */
const golden: Readonly<Record<string, [GoRequest, string]>> = {
  "a port of the backend": [
    { command: "tcp", port: 443 },
    "f7345ed981c130b313a0b7fbe173a5e3109d8a7368bed32cb10851f0188409af000501010001bb",
  ],
  "a name": [
    { command: "tcp", host: "example.com", port: 80 },
    "3fdc77c576cbeeccddcf59a896b131fbbae0a96a8d53e4c3c749850aea8b2670" +
    "00110101030b6578616d706c652e636f6d0050",
  ],
  "datagrams to an IPv4 address": [
    { command: "udp", host: "192.0.2.1", port: 53 },
    "85df0e8a3b92af64800c3e47eaacd0c00ce637469ee337d7d327a4cae1836baa0009010201c00002010035",
  ],
  "a hello": [
    { command: "hello", port: 0 },
    "ca1f1fe7351acf0f0acc3c5372cc00dee2b9068828d32077c0c63e2647a17e5700050103000000",
  ],
};

for (const [name, [request, hex]] of Object.entries(golden)) {
  Deno.test(`the header of ${name} is that of the reference, to the byte`, () => {
    const bytes = encodeGoRequest(key, request)!;
    assertEquals(bytes.toHex(), hex);
    assertEquals(parseGoRequest(bytes, key), { status: "done", value: { request }, length: bytes.length });
  });
}

const requests: fc.Arbitrary<GoRequest> = fc.record({
  command: fc.constantFrom("tcp", "udp", "hello"),
  host: fc.oneof(fc.ipV4(), fc.domain(), fc.constantFrom("::1", "2001:db8::9")),
  port: fc.nat(65535),
}, { requiredKeys: ["command", "port"] });
const headers = requests.map((request) => encodeGoRequest(key, request)!);

Deno.test("what is encoded is read again, and what follows it is left", () => {
  fc.assert(fc.property(requests, fc.uint8Array({ maxLength: 9 }), (request, rest) => {
    const header = encodeGoRequest(key, request)!;
    const parsed = parseGoRequest(Uint8Array.from([...header, ...rest]), key);
    assertEquals(parsed, { status: "done", value: { request }, length: header.length });
    for (let length = 0; length < header.length; length++) {
      assertEquals(parseGoRequest(header.subarray(0, length), key).status, "more");
    }
  }));
});

Deno.test("a header of another secret, or with a bit changed, is of nobody known", () => {
  fc.assert(fc.property(headers, fc.nat(), (header, chance) => {
    const refused = done({ refused: GoReply.auth }, header.length);
    assertEquals(parseGoRequest(header, goStreamKey("other")), refused);
    const at = chance % header.length;
    if (at === 32 || at === 33) return; // the length is not what it says any more
    header[at]! ^= 1 << chance % 8;
    assertEquals(parseGoRequest(header, key), refused);
  }));
});

Deno.test("a length that no header has is bad at once", () => {
  for (const length of [0, 4, 513, 65535]) {
    const head = new Uint8Array(34);
    new DataView(head.buffer).setUint16(32, length);
    assertEquals(parseGoRequest(head, key).status, "bad");
  }
});

Deno.test("a host that does not fit is told before anything is sent", () => {
  assertEquals(encodeGoRequest(key, { command: "tcp", host: "", port: 1 }), undefined);
  assertEquals(encodeGoRequest(key, { command: "tcp", host: "a".repeat(256), port: 1 }), undefined);
  assert(encodeGoRequest(key, { command: "tcp", host: "a".repeat(255), port: 1 }));
});

Deno.test("any bytes are survived", () => assertDecoderSurvives((any) => parseGoRequest(any, key), { valid: headers }));
