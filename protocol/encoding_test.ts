import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  decodeBase32,
  decodeBase64,
  decodeBase64Url,
  encodeBase32,
  encodeBase64,
  encodeBase64Url,
} from "./encoding.ts";

const RFC_4648 = [
  { text: "", base32: "", base64: "" },
  { text: "f", base32: "my", base64: "Zg==" },
  { text: "fo", base32: "mzxq", base64: "Zm8=" },
  { text: "foo", base32: "mzxw6", base64: "Zm9v" },
  { text: "foob", base32: "mzxw6yq", base64: "Zm9vYg==" },
  { text: "fooba", base32: "mzxw6ytb", base64: "Zm9vYmE=" },
  { text: "foobar", base32: "mzxw6ytboi", base64: "Zm9vYmFy" },
];

Deno.test("base32 and base64 give the texts of RFC 4648 §10, base32 in lower case without padding", () => {
  for (const { text, base32, base64 } of RFC_4648) {
    const bytes = new TextEncoder().encode(text);
    assertEquals(encodeBase32(bytes), base32);
    assertEquals(encodeBase64(bytes), base64);
    assertEquals(encodeBase64Url(bytes), base64.replaceAll("=", ""));
  }
});

Deno.test("base64 and base64url give back the bytes they were made from", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    assertEquals(decodeBase64(encodeBase64(bytes)), new Uint8Array(bytes));
    assertEquals(decodeBase64Url(encodeBase64Url(bytes)), new Uint8Array(bytes));
  }));
});

Deno.test("base32 gives back the bytes it was made from, and takes only the one text that they have", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    assertEquals(decodeBase32(encodeBase32(bytes)), new Uint8Array(bytes));
  }));
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."ab27m4q1= A") }), (text) => {
    const bytes = decodeBase32(text);
    if (bytes) assertEquals(encodeBase32(bytes), text);
  }));
  for (const text of ["a", "aaa", "mz", "MY", "my======", "m1"]) assertEquals(decodeBase32(text), undefined, text);
});

Deno.test("base64 takes any text without throwing, and only the one text that its bytes have", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(..."ABab01+/-_= \n") }),
  );
  fc.assert(fc.property(text, (text) => {
    const bytes = decodeBase64(text);
    if (bytes) assertEquals(encodeBase64(bytes), text);
    const urlBytes = decodeBase64Url(text);
    if (urlBytes) assertEquals(encodeBase64Url(urlBytes), text);
  }));
});

Deno.test("base64 refuses stray bits, white space, wrong padding and the other alphabet", () => {
  for (const text of ["Zh==", "Zg", "Zg=", "Z g=", "Zg==\n", "-_==", "Zg===", "Z"]) {
    assertEquals(decodeBase64(text), undefined, text);
  }
  for (const text of ["Zh", "Zg==", "Z", "Zg ", "+/8"]) assertEquals(decodeBase64Url(text), undefined, text);
});
