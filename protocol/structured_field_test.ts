import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatByteSequence, formatInnerList, parseByteSequences, parseInnerLists } from "./structured_field.ts";

Deno.test("inner lists keep their items and their parameters in order", () => {
  const lists = parseInnerLists(' sig1=("a"  "b\\"c" );created=12; keyid="k\\\\" , other=();n=-3 ');
  assertEquals(lists && [...lists].map(([key, list]) => [key, list.items, [...list.parameters]]), [
    ["sig1", ["a", 'b"c'], [["created", 12], ["keyid", "k\\"]]],
    ["other", [], [["n", -3]]],
  ]);
});

for (
  const [what, text] of [
    ["nothing", ""],
    ["a key without a value", "a"],
    ["a list that does not end", 'a=("b"'],
    ["items that touch", 'a=("b""c")'],
    ["an item that is a token", "a=(b)"],
    ["an item with parameters", 'a=("b";req)'],
    ["a parameter that is true", 'a=("b");req'],
    ["a parameter that is a decimal", 'a=("b");n=1.5'],
    ["a number of more than 15 digits", 'a=("b");n=1234567890123456'],
    ["a parameter twice", 'a=("b");n=1;n=2'],
    ["a key twice", 'a=("b"), a=("c")'],
    ["a comma at the end", 'a=("b"),'],
    ["a space before a parameter", 'a=("b") ;n=1'],
    ["something behind", 'a=("b") c'],
    ["an escape of something else", 'a=("\\b")'],
    ["a character that is not ASCII", 'a=("é")'],
    ["a key in capitals", 'A=("b")'],
    ["more text than anyone needs", `a=(${'"b" '.repeat(2000)})`],
  ] as const
) {
  Deno.test(`inner lists do not take ${what}`, () => assertEquals(parseInnerLists(text), undefined));
}

Deno.test("byte sequences are padded base64 between colons", () => {
  assertEquals(parseByteSequences("a=:AQI=:, b=::"), new Map([["a", Uint8Array.of(1, 2)], ["b", new Uint8Array()]]));
  for (const text of ["a=:AQI:", "a=AQI=", "a=:AQI=", 'a="AQI="', "a=:A=I=:", "a=:AQI=:;b=1"]) {
    assertEquals(parseByteSequences(text), undefined, text);
  }
});

const printable = fc.string({ unit: fc.constantFrom(...'abc"\\ ();=,:~!') });
const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,8}$/);

Deno.test("what is formatted is read back", () => {
  const parameters = fc.dictionary(key, fc.oneof(printable, fc.integer()), { noNullPrototype: true })
    .map((entries) => new Map(Object.entries(entries)));
  fc.assert(fc.property(key, fc.array(printable), parameters, (name, items, parameters) => {
    const list = { items, parameters };
    assertEquals(parseInnerLists(`${name}=${formatInnerList(list)}`), new Map([[name, list]]));
  }));
  fc.assert(fc.property(key, fc.uint8Array(), (name, bytes) => {
    assertEquals(
      parseByteSequences(`${name}=${formatByteSequence(bytes)}`),
      new Map([[name, new Uint8Array(bytes)]]),
    );
  }));
});

Deno.test("the parsers survive any text", () => {
  const pieces = fc.array(fc.constantFrom("a", "=", "(", ")", '"', "\\", ";", ",", " ", ":", "AA==", "1", "-", "é"));
  fc.assert(fc.property(fc.oneof(fc.string(), pieces.map((parts) => parts.join(""))), (text) => {
    parseInnerLists(text);
    parseByteSequences(text);
  }));
});
