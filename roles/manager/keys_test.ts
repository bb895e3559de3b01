import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Key, KeyReader } from "./keys.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

const TABLE: Readonly<Record<string, readonly [string, readonly Key[]]>> = {
  "characters are themselves": ["a/?", ["a", "/", "?"]],
  "control keys": ["\x03\x1a\x0c\r\n\x7f\x08\x15", [
    ...["ctrl-c", "ctrl-z", "ctrl-l", "enter", "enter", "backspace", "backspace", "ctrl-u"],
  ]],
  "arrows of either mode": ["\x1b[A\x1b[B\x1bOA\x1bOB", ["up", "down", "up", "down"]],
  "keys with numbers": ["\x1b[5~\x1b[6~\x1b[1~\x1b[F", ["page-up", "page-down", "home", "end"]],
  "sequences that are not known": ["\x1b[1;5Cx\x1b[200~y", ["x", "y"]],
  "a character after the escape key": ["\x1bx", ["escape", "x"]],
  "twice the escape key, then more": ["\x1b\x1b[A", ["escape", "up"]],
  "characters beyond ASCII": ["é漢k", ["k"]],
  "a sequence that breaks off": ["\x1b[\x03q", ["ctrl-c", "q"]],
};

for (const [name, [text, keys]] of Object.entries(TABLE)) {
  Deno.test(`keys: ${name}`, () => {
    assertEquals(new KeyReader().push(bytesOf(text)), [...keys]);
  });
}

Deno.test("a sequence may come in pieces", () => {
  const reader = new KeyReader();
  assertEquals([reader.push(bytesOf("\x1b")), reader.isOpen], [[], true]);
  assertEquals([reader.push(bytesOf("[")), reader.push(bytesOf("A")), reader.isOpen], [[], ["up"], false]);
});

Deno.test("nothing after an escape makes it the escape key", () => {
  const reader = new KeyReader();
  reader.push(bytesOf("\x1b"));
  assertEquals([reader.flush(), reader.isOpen, reader.flush()], [["escape"], false, []]);
  reader.push(bytesOf("\x1b["));
  assertEquals([reader.flush(), reader.push(bytesOf("a"))], [[], ["a"]]);
});

Deno.test("any bytes, in any pieces, are read in the same way and keep nothing for long", () => {
  const byte = fc.oneof(fc.constantFrom(0x1b, 0x5b, 0x4f, 0x41, 0x3b), fc.integer({ min: 0, max: 255 }));
  fc.assert(fc.property(fc.array(byte, { maxLength: 200 }), fc.nat(200), (bytes, at) => {
    const whole = new KeyReader().push(Uint8Array.from(bytes));
    const reader = new KeyReader();
    const pieces = [
      ...reader.push(Uint8Array.from(bytes.slice(0, at))),
      ...reader.push(Uint8Array.from(bytes.slice(at))),
    ];
    assertEquals(pieces, whole);
    assert(reader.push(new Uint8Array(40).fill(0x30)).length >= 0 && !reader.isOpen);
  }));
});
