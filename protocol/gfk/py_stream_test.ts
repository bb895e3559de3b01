import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { encodePyReady, encodePyRequest, isPyAuth, parsePyReady, parsePyRequest, type PyRequest } from "./py_stream.ts";

const AUTH = "jd!gn0s4";
const bytes = (text: string) => new TextEncoder().encode(text);
const requests: fc.Arbitrary<PyRequest> = fc.record({
  network: fc.constantFrom("tcp", "udp"),
  port: fc.integer({ min: 1, max: 65535 }),
});

Deno.test("the headers are those of the reference, to the byte", () => {
  assertEquals(encodePyRequest(AUTH, { network: "tcp", port: 443 }), bytes("jd!gn0s4connect,tcp,443,!###!"));
  assertEquals(encodePyRequest(AUTH, { network: "udp", port: 945 }), bytes("jd!gn0s4connect,udp,945,!###!"));
  assertEquals(encodePyReady(AUTH), bytes("jd!gn0s4i am ready,!###!"));
});

Deno.test("what is encoded is read again, and what follows it is left", () => {
  fc.assert(fc.property(requests, fc.uint8Array({ maxLength: 20 }), (request, rest) => {
    const header = encodePyRequest(AUTH, request);
    const whole = Uint8Array.from([...header, ...rest]);
    assertEquals(parsePyRequest(whole, AUTH), { status: "done", value: request, length: header.length });
    for (let length = 0; length < header.length; length++) {
      assertEquals(parsePyRequest(header.subarray(0, length), AUTH).status, "more");
    }
  }));
  assertEquals(parsePyReady(bytes("jd!gn0s4i am ready,!###!SSH-2.0"), AUTH), {
    status: "done",
    value: "ready",
    length: 24,
  });
});

const refused: Readonly<Record<string, string>> = {
  "another secret": "jd!gn0s5connect,tcp,443,!###!",
  "another word": "jd!gn0s4connect,sctp,443,!###!",
  "no port": "jd!gn0s4connect,tcp,,!###!",
  "port 0": "jd!gn0s4connect,tcp,0,!###!",
  "a port beyond the last": "jd!gn0s4connect,tcp,65536,!###!",
  "a port with a sign": "jd!gn0s4connect,tcp,+443,!###!",
  "a header without end": "jd!gn0s4connect,tcp," + "4".repeat(600),
  "an answer": "jd!gn0s4i am ready,!###!",
};

for (const [name, text] of Object.entries(refused)) {
  Deno.test(`a request is refused: ${name}`, () => assertEquals(parsePyRequest(bytes(text), AUTH).status, "bad"));
}

Deno.test("a secret must be found again at the start of a header", () => {
  assertEquals(["a", AUTH, "", "x!###!y", "é", "a\n", "a".repeat(257)].map(isPyAuth), [
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});

Deno.test("any bytes are survived", () => {
  assertDecoderSurvives((any) => parsePyRequest(any, AUTH), {
    valid: requests.map((request) => encodePyRequest(AUTH, request)),
  });
  assertDecoderSurvives((any) => parsePyReady(any, AUTH), { valid: fc.constant(encodePyReady(AUTH)) });
});
