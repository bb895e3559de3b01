import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatRefreshToken, parseRefreshToken } from "./refresh_token.ts";

const key = new Uint8Array(32).fill(7);
const arbitraryToken = fc.record({
  familyId: fc.stringMatching(/^[a-z2-7]{1,26}$/),
  generation: fc.nat(999_999_999),
});

Deno.test("a refresh token reads back as what it was made from, with its key and no other", () => {
  fc.assert(fc.property(arbitraryToken, (token) => {
    const text = formatRefreshToken(token, key);
    assertEquals(parseRefreshToken(text, key), token);
    assertEquals(parseRefreshToken(text, new Uint8Array(32)), undefined);
  }));
});

Deno.test("a refresh token that was changed anywhere is none", () => {
  fc.assert(fc.property(arbitraryToken, fc.nat(), fc.integer({ min: 32, max: 126 }), (token, place, code) => {
    const text = formatRefreshToken(token, key);
    const at = place % text.length;
    const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
    assertEquals(parseRefreshToken(changed, key), changed === text ? token : undefined);
  }));
});

Deno.test("whatever else comes is no refresh token", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (junk) => {
    assertEquals(parseRefreshToken(junk, key), undefined);
  }));
});
