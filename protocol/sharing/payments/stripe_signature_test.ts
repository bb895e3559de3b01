import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../../testing/fuzz.ts";
import { faultOfStripeSignature, parseStripeSignature } from "./stripe_signature.ts";

const utf8 = new TextEncoder();
const NOW_S = 1767225600;
const BODY = '{"id":"evt_1","object":"event","type":"charge.refunded"}';
const SECRET = "whsec_test_secret";

/**
 * Made by OpenSSL 3.0.19, for want of an official vector:
 *
 *   printf '%s' "1767225600.<body>" | openssl dgst -sha256 -hmac <secret>
 */
const vectors = [
  {
    name: "an event",
    body: utf8.encode(BODY),
    secret: SECRET,
    v1: "7cc12243f65c0d197ca35d5bc08135f39fe9aff25037a7a176b6aebb6a029a90",
  },
  {
    name: "an empty body",
    body: new Uint8Array(),
    secret: SECRET,
    v1: "2101ed4de13a3847b9130080a81eb77b7a3727702e4665f5d4fc9fb89133b2e2",
  },
  {
    name: "bytes that are no UTF-8",
    body: Uint8Array.of(0x00, 0xff, 0xc3, 0x28),
    secret: "whsec_other",
    v1: "3cd94e3b0555a9f754624dbeb1eb32862c50b837344d52bb0bcac46beade5419",
  },
] as const;

for (const { name, body, secret, v1 } of vectors) {
  Deno.test(`the signature of ${name} is OpenSSL's`, () => {
    const check = (header: string) => faultOfStripeSignature(header, body, { secrets: [secret], nowMs: NOW_S * 1000 });
    assertEquals(check(`t=${NOW_S},v1=${v1}`), undefined);
    assertEquals(typeof check(`t=${NOW_S},v1=${v1.replace(/^./, (digit) => digit === "0" ? "1" : "0")}`), "string");
  });
}

const V1 = vectors[0].v1;
const WRONG = "0".repeat(64);

const rows: { name: string; header: string | null; ok: boolean; nowS?: number; secrets?: string[] }[] = [
  { name: "one that does not fit before the one that does", header: `t=${NOW_S},v1=${WRONG},v1=${V1}`, ok: true },
  { name: "another scheme beside it", header: `t=${NOW_S},v0=${WRONG},v1=${V1}`, ok: true },
  { name: "the other scheme alone", header: `t=${NOW_S},v0=${V1}`, ok: false },
  { name: "our second secret", header: `t=${NOW_S},v1=${V1}`, ok: true, secrets: ["whsec_new", SECRET] },
  { name: "another secret", header: `t=${NOW_S},v1=${V1}`, ok: false, secrets: ["whsec_new"] },
  { name: "no header", header: null, ok: false },
  { name: "an empty header", header: "", ok: false },
  { name: "no time", header: `v1=${V1}`, ok: false },
  { name: "two times", header: `t=${NOW_S},t=${NOW_S},v1=${V1}`, ok: false },
  { name: "another time than was signed", header: `t=${NOW_S + 1},v1=${V1}`, ok: false },
  { name: "the time written otherwise", header: `t=0${NOW_S},v1=${V1}`, ok: false },
  { name: "upper-case hexadecimal", header: `t=${NOW_S},v1=${V1.toUpperCase()}`, ok: false },
  { name: "a signature that was cut", header: `t=${NOW_S},v1=${V1.slice(0, 62)}`, ok: false },
  { name: "300 s of age", header: `t=${NOW_S},v1=${V1}`, ok: true, nowS: NOW_S + 300 },
  { name: "301 s of age", header: `t=${NOW_S},v1=${V1}`, ok: false, nowS: NOW_S + 301 },
  { name: "a time 301 s ahead of ours", header: `t=${NOW_S},v1=${V1}`, ok: false, nowS: NOW_S - 301 },
  { name: "more signatures than anybody has", header: `t=${NOW_S}${`,v1=${WRONG}`.repeat(20)},v1=${V1}`, ok: false },
];
for (const { name, header, ok, nowS = NOW_S, secrets = [SECRET] } of rows) {
  Deno.test(`a webhook with ${name} is ${ok ? "taken" : "refused"}`, () => {
    const fault = faultOfStripeSignature(header, utf8.encode(BODY), { secrets, nowMs: nowS * 1000 });
    assertEquals(fault === undefined, ok, fault);
  });
}

Deno.test("a body that was formatted anew is another body", () => {
  const again = utf8.encode(JSON.stringify(JSON.parse(BODY), null, 1));
  const options = { secrets: [SECRET], nowMs: NOW_S * 1000 };
  assertEquals(typeof faultOfStripeSignature(`t=${NOW_S},v1=${V1}`, again, options), "string");
});

Deno.test("reading the header survives anything", () => {
  assertDecoderSurvives((bytes) => parseStripeSignature(new TextDecoder().decode(bytes)), {
    valid: fc.constant(utf8.encode(`t=${NOW_S},v1=${V1}`)),
  });
});
