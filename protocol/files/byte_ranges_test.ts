import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type ByteRange, contentRange, MAX_RANGES, rangesWanted } from "./byte_ranges.ts";

const ALL = { kind: "all" };
const NONE = { kind: "unsatisfiable" };
const some = (...ranges: [number, number][]) => ({
  kind: "some",
  ranges: ranges.map(([start, end]) => ({ start, end })),
});

/** RFC 9110 §14.1.1, §14.1.2, §14.2 and §15.5.17, of a content of 10,000 bytes. */
const table = [
  { name: "the first 500 bytes", header: "bytes=0-499", wanted: some([0, 500]) },
  { name: "the second 500 bytes", header: "bytes=500-999", wanted: some([500, 1000]) },
  { name: "the last 500 bytes", header: "bytes=-500", wanted: some([9500, 10_000]) },
  { name: "all but the first 9,500", header: "bytes=9500-", wanted: some([9500, 10_000]) },
  { name: "the first and the last byte", header: "bytes=0-0,-1", wanted: some([0, 1], [9999, 10_000]) },
  { name: "a middle in parts that touch", header: "bytes=500-600,601-999", wanted: some([500, 1000]) },
  { name: "a middle in parts that overlap", header: "bytes=500-700,601-999", wanted: some([500, 1000]) },
  { name: "parts with less between them than a part costs", header: "bytes=0-9,50-59", wanted: some([0, 60]) },
  {
    name: "parts in another order than they lie",
    header: "bytes=5000-5099,0-99",
    wanted: some([5000, 5100], [0, 100]),
  },
  { name: "all of it as a range", header: "bytes=0-", wanted: some([0, 10_000]) },
  { name: "an end beyond the content is cut", header: "bytes=9000-20000", wanted: some([9000, 10_000]) },
  { name: "an end right at the length is cut", header: "bytes=0-10000", wanted: some([0, 10_000]) },
  { name: "an end too large for any number", header: `bytes=0-${"9".repeat(400)}`, wanted: some([0, 10_000]) },
  { name: "a suffix longer than the content", header: "bytes=-20000", wanted: some([0, 10_000]) },
  { name: "a start at the length", header: "bytes=10000-", wanted: NONE },
  { name: "a start beyond the length", header: "bytes=10001-10002", wanted: NONE },
  { name: "a start too large for any number", header: `bytes=${"9".repeat(400)}-`, wanted: NONE },
  { name: "a suffix of nothing", header: "bytes=-0", wanted: NONE },
  { name: "what cannot be had is left out", header: "bytes=20000-,0-9", wanted: some([0, 10]) },
  { name: "a unit in other letters", header: "Bytes=0-9", wanted: some([0, 10]) },
  {
    name: "blanks and empty members in the list",
    header: "bytes= 0-9 ,, 5000-5009\t,",
    wanted: some([0, 10], [5000, 5010]),
  },
  { name: "no header", header: null, wanted: ALL },
  { name: "an empty header", header: "", wanted: ALL },
  { name: "another unit", header: "items=0-9", wanted: ALL },
  { name: "no unit", header: "0-9", wanted: ALL },
  { name: "no ranges", header: "bytes=", wanted: ALL },
  { name: "only commas", header: "bytes=,,", wanted: ALL },
  { name: "an end before its start", header: "bytes=9-0", wanted: ALL },
  { name: "one malformed range spoils the list", header: "bytes=0-9,x-y", wanted: ALL },
  { name: "a dash alone", header: "bytes=-", wanted: ALL },
  { name: "a blank within", header: "bytes=0 -9", wanted: ALL },
  { name: "a sign", header: "bytes=+0-9", wanted: ALL },
  { name: "two dashes", header: "bytes=0--9", wanted: ALL },
  { name: "hexadecimal digits", header: "bytes=0x0-0x9", wanted: ALL },
  { name: "digits of another script", header: "bytes=٠-٩", wanted: ALL },
  { name: "more ranges than anybody needs", header: `bytes=${Array(MAX_RANGES + 1).fill("0-0").join()}`, wanted: ALL },
] as const;

for (const { name, header, wanted } of table) {
  Deno.test(`ranges: ${name}`, () => assertEquals<unknown>(rangesWanted(header, 10_000), wanted));
}

Deno.test("ranges: an empty content has none", () => {
  for (const header of ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"]) {
    assertEquals<unknown>(rangesWanted(header, 0), ALL);
  }
});

Deno.test("ranges: Content-Range counts to the last byte", () => {
  assertEquals(contentRange({ start: 0, end: 500 }, 1234), "bytes 0-499/1234");
});

/** Byte by byte, as slowly as it can be done. */
function covered(ranges: readonly ByteRange[], size: number): boolean[] {
  return Array.from({ length: size }, (_, at) => ranges.some(({ start, end }) => start <= at && at < end));
}

Deno.test("ranges: whatever the header, they lie in the content, and none overlaps another", () => {
  const number = fc.integer({ min: 0, max: 3000 }).map(String);
  const spec = fc.oneof(
    fc.tuple(number, number).map(([a, b]) => `${a}-${b}`),
    number.map((a) => `${a}-`),
    number.map((a) => `-${a}`),
  );
  const header = fc.oneof(fc.array(spec, { maxLength: 20 }).map((specs) => `bytes=${specs.join(",")}`), fc.string());
  fc.assert(fc.property(header, fc.integer({ min: 0, max: 2500 }), (text, size) => {
    const wanted = rangesWanted(text, size);
    if (wanted.kind !== "some") return;
    assert(wanted.ranges.length > 0);
    for (const { start, end } of wanted.ranges) assert(0 <= start && start < end && end <= size);
    const sorted = wanted.ranges.toSorted((a, b) => a.start - b.start);
    sorted.slice(1).forEach(({ start }, at) => assert(start > sorted[at]!.end));
  }));
});

Deno.test("ranges: every byte that is asked for is sent", () => {
  const range = fc.tuple(fc.nat(999), fc.nat(300)).map(([start, length]) => ({ start, end: start + length + 1 }));
  fc.assert(fc.property(fc.array(range, { minLength: 1, maxLength: MAX_RANGES }), (ranges) => {
    const wanted = rangesWanted(`bytes=${ranges.map(({ start, end }) => `${start}-${end - 1}`).join()}`, 1000);
    assert(wanted.kind === "some");
    const [asked, sent] = [covered(ranges, 1000), covered(wanted.ranges, 1000)];
    assert(asked.every((isAsked, at) => !isAsked || sent[at]));
  }));
});
