import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { equalKeys, isZeroKey, keyFromBase64, keyFromHex, keyToBase64, keyToHex } from "./keys.ts";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.slice());

Deno.test("a key survives base64 and hexadecimal", () => {
  fc.assert(fc.property(key, (key) => {
    assertEquals(keyFromBase64(keyToBase64(key)), key);
    assertEquals(keyFromHex(keyToHex(key)), key);
    assertEquals(keyFromHex(keyToHex(key).toUpperCase()), key);
  }));
});

// The first is the example of wg(8).
const texts: [name: string, text: string, isKey: boolean][] = [
  ["a key", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", true],
  ["without its padding", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk", false],
  ["with bits behind the last byte", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBml=", false],
  ["in base64url", "yAnz5TF-lXXJte14tji3zlMNq-hd2rYUIgJBgB3fBmk=", false],
  ["with a space", "yAnz5TF+lXXJte14tji3zlMNq hd2rYUIgJBgB3fBmk=", false],
  ["one byte short", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBg==", false],
  ["nothing", "", false],
];

for (const [name, text, isKey] of texts) {
  Deno.test(`base64 ${name} is ${isKey ? "a key" : "no key"}`, () => {
    assertEquals(keyFromBase64(text) !== undefined, isKey);
  });
}

Deno.test("only 64 hexadecimal digits are a key", () => {
  for (const text of ["", "0".repeat(63), "0".repeat(65), "g".repeat(64), ` ${"0".repeat(63)}`]) {
    assertEquals(keyFromHex(text), undefined);
  }
});

Deno.test("keys are compared by all their bytes, and zeros are no key", () => {
  fc.assert(fc.property(key, fc.nat(31), fc.integer({ min: 1, max: 255 }), (key, at, change) => {
    const other = key.map((byte, index) => index === at ? byte ^ change : byte);
    assertEquals(equalKeys(key, key.slice()), true);
    assertEquals(equalKeys(key, other), false);
  }));
  assertEquals(isZeroKey(new Uint8Array(32)), true);
  assertEquals(isZeroKey(new Uint8Array(32).fill(1, 31)), false);
});
