import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { CulvertError } from "./errors.ts";
import { portablePrimitives as primitives } from "./primitives.ts";
import {
  AUTH_DOMAIN,
  authFields,
  type Field,
  sign,
  signedBytes,
  splitSignedBytes,
  type Statement,
  verify,
} from "./signing.ts";

const SECRET_KEY = new Uint8Array(32).fill(1);
const PUBLIC_KEY = primitives.ed25519PublicKey(SECRET_KEY);

Deno.test("signed bytes are laid out as the header says", () => {
  const rows: { name: string; domain: string; fields: Field[]; hex: string }[] = [
    { name: "no fields", domain: "d", fields: [], hex: "0000000164" },
    { name: "empty text", domain: "d", fields: [""], hex: "000000016400000000" },
    { name: "text in UTF-8", domain: "d", fields: ["é"], hex: "000000016400000002c3a9" },
    { name: "bytes", domain: "d", fields: [Uint8Array.of(0, 255)], hex: "00000001640000000200ff" },
    { name: "a number as u64", domain: "d", fields: [258], hex: "0000000164000000080000000000000102" },
    { name: "a list", domain: "d", fields: [["a", "bc"]], hex: "00000001640000000b0000000161000000026263" },
  ];
  for (const { name, domain, fields, hex } of rows) assertEquals(encodeHex(signedBytes(domain, fields)), hex, name);
});

Deno.test("moving a boundary between fields gives other bytes", () => {
  const rows: [Field[], Field[]][] = [
    [["ab", "c"], ["a", "bc"]],
    [["ab"], ["a", "b"]],
    [["a", ""], ["a"]],
    [[["a", "b"]], [["ab"]]],
    [[["a"], "b"], [["a", "b"]]],
  ];
  for (const [one, other] of rows) {
    assertNotEquals(encodeHex(signedBytes("d", one)), encodeHex(signedBytes("d", other)));
  }
});

Deno.test("different lists of texts never share their bytes, and the bytes split back into them", () => {
  const texts = fc.array(fc.string({ unit: "grapheme", maxLength: 8 }), { maxLength: 5 });
  fc.assert(fc.property(texts, texts, (one, other) => {
    const bytes = signedBytes("d", one);
    assertEquals(
      encodeHex(bytes) === encodeHex(signedBytes("d", other)),
      JSON.stringify(one) === JSON.stringify(other),
    );
    const parts = splitSignedBytes(bytes, 6)!;
    assertEquals(parts.map((part) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(part)), ["d", ...one]);
  }));
});

Deno.test("splitting takes any bytes without throwing and keeps to its bound", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    const parts = splitSignedBytes(bytes, 3);
    if (!parts) return;
    assert(parts.length <= 3);
    assertEquals(parts.reduce((sum, part) => sum + 4 + part.length, 0), bytes.length);
  }));
  const shortParts = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 8 });
  fc.assert(fc.property(shortParts, fc.nat(3), (lengths, cut) => {
    const whole = signedBytes("", lengths.map((length) => new Uint8Array(length)));
    const bytes = whole.subarray(0, whole.length - cut);
    const parts = splitSignedBytes(bytes, 20);
    if (cut === 0) assertEquals(parts?.length, lengths.length + 1);
    else if (parts) assertEquals(parts.reduce((sum, part) => sum + 4 + part.length, 0), bytes.length);
  }));
});

Deno.test("a signature holds for its own domain, fields and key only", () => {
  const statement: Statement = { domain: "culvert/test/v1", fields: ["a", 1, Uint8Array.of(2)] };
  const signature = sign(statement, SECRET_KEY, primitives);
  const signed = { signature, publicKey: PUBLIC_KEY };
  assert(verify(statement, signed, primitives));
  assert(!verify({ ...statement, domain: "culvert/test/v2" }, signed, primitives));
  assert(!verify({ ...statement, fields: ["a", 2, Uint8Array.of(2)] }, signed, primitives));
  assert(!verify({ ...statement, fields: ["a", 1] }, signed, primitives));
  const otherKey = primitives.ed25519PublicKey(new Uint8Array(32).fill(2));
  assert(!verify(statement, { signature, publicKey: otherKey }, primitives));
  assert(!verify(statement, { signature: signature.subarray(1), publicKey: PUBLIC_KEY }, primitives));
});

Deno.test("what has no encoding cannot be signed, and is never verified", () => {
  const signed = { signature: new Uint8Array(64), publicKey: PUBLIC_KEY };
  for (const field of [-1, 1.5, NaN, Infinity, 2 ** 53, "\ud800", ["\udc00"]]) {
    const error = assertThrows(() => signedBytes("d", ["ok", field]), CulvertError, "Cannot sign: field 1 of d");
    assertEquals(error.code, "invalid_field");
    assert(!verify({ domain: "d", fields: [field] }, signed, primitives));
  }
});

Deno.test("the fields of an auth request are signed in the order of the design", () => {
  const fields = authFields({
    supernodeId: "s",
    wireguardKey: Uint8Array.of(4),
    timestampMs: 3,
    nonce: Uint8Array.of(2),
    region: "eu",
    role: "exit",
    peerId: "p",
  });
  assertEquals(fields, ["p", "exit", "eu", Uint8Array.of(2), 3, Uint8Array.of(4), "s"]);
  assertEquals(AUTH_DOMAIN, "culvert/auth/v1");
});
