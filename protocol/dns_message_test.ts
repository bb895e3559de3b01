import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { dnsFailure, isDnsAnswer, readDnsQuestion, withDnsId } from "./dns_message.ts";

const ascii = (text: string) => [...new TextEncoder().encode(text)];
const labels = (name: string) => name.split(".").flatMap((label) => [label.length, ...ascii(label)]);

/** A query for the address of a name, with the additional record of EDNS behind it. */
function query(name: string, { id = 0x1234, flags = 0x0100 } = {}): Uint8Array<ArrayBuffer> {
  const header = [id >> 8, id & 255, flags >> 8, flags & 255, 0, 1, 0, 0, 0, 0, 0, 1];
  return Uint8Array.from([...header, ...labels(name), 0, 0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
}

const name = fc.array(fc.stringMatching(/^[a-zA-Z0-9-]{1,20}$/), { minLength: 1, maxLength: 8 }).map((parts) =>
  parts.join(".")
);
const id = fc.nat(0xffff);

Deno.test("the question of a query is its name, type and class, without what follows", () => {
  const read = readDnsQuestion(query("example.com"))!;
  assertEquals(read.id, 0x1234);
  assertEquals([...read.question], [...labels("example.com"), 0, 0, 1, 0, 1]);
});

Deno.test("an answer is known by its id and its question, whatever the capitals", () => {
  fc.assert(fc.property(name, id, (name, id) => {
    const question = readDnsQuestion(query(name, { id }))!;
    assert(isDnsAnswer(query(name.toUpperCase(), { id, flags: 0x8180 }), question));
    assert(!isDnsAnswer(query(name, { id }), question), "it is a query itself");
    assert(!isDnsAnswer(query(name, { id: id ^ 1, flags: 0x8180 }), question), "another id");
    assert(!isDnsAnswer(query(`${name}x`, { id, flags: 0x8180 }), question), "another name");
  }));
});

Deno.test("a query under another id is the same but for its id", () => {
  const other = withDnsId(query("example.com"), 0xabcd);
  assertEquals(other, query("example.com", { id: 0xabcd }));
});

Deno.test("a failure answers the question and says SERVFAIL", () => {
  const asked = query("example.com");
  const question = readDnsQuestion(asked)!;
  const failure = dnsFailure(asked, question);
  assert(isDnsAnswer(failure, question));
  assertEquals([...failure.subarray(2, 12)], [0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0]);
});

for (
  const [what, message] of [
    ["nothing", new Uint8Array()],
    ["a header without a question", query("a").subarray(0, 12)],
    ["an answer", query("a", { flags: 0x8180 })],
    ["an update", query("a", { flags: 0x2800 })],
    ["two questions", query("a").with(5, 2)],
    ["no question", query("a").with(5, 0)],
    ["a name cut off", query("example.com").subarray(0, 20)],
    ["a name without type and class", query("a").subarray(0, 17)],
    ["a pointer in place of a name", query("a").with(12, 0xc0)],
    ["a name that is too long", query(Array(5).fill("x".repeat(60)).join("."))],
  ] as const
) {
  Deno.test(`no query: ${what}`, () => assertEquals(readDnsQuestion(message), undefined));
}

Deno.test("arbitrary bytes and queries with bytes changed are read as some question or none", () => {
  const check = (bytes: Uint8Array) => {
    const read = readDnsQuestion(bytes);
    if (read) assert(isDnsAnswer(dnsFailure(bytes, read), read));
    isDnsAnswer(bytes, { id: 1, question: new Uint8Array(5) });
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), check));
  fc.assert(fc.property(name, fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 4 }), (name, changes) => {
    const bytes = query(name);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    check(bytes);
    check(bytes.subarray(0, changes.length * 9));
  }));
});
