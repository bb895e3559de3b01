import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatHttpDate, parseHttpDate } from "./http_date.ts";
import { type Conditions, judge, parseTags, rangeApplies, type Validators, type Verdict } from "./preconditions.ts";

const NOW = Date.UTC(2026, 5, 1);
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const [SAME, EARLIER, LATER] = [AT, AT - 60_000, AT + 60_000].map(formatHttpDate) as [string, string, string];
const STRONG: Validators = { etag: '"x"', lastModifiedMs: AT };
const WEAK: Validators = { etag: 'W/"x"', lastModifiedMs: AT };
const NAMELESS: Validators = { lastModifiedMs: AT };

interface Row {
  readonly name: string;
  readonly asked: Partial<Conditions>;
  readonly current: Validators | undefined;
  readonly verdict: Verdict;
}

/** RFC 9110 §13.1 and §13.2.2. */
const table: readonly Row[] = [
  { name: "nothing is asked", asked: {}, current: STRONG, verdict: "proceed" },
  { name: "If-Match names it", asked: { ifMatch: '"x"' }, current: STRONG, verdict: "proceed" },
  { name: "If-Match names it among others", asked: { ifMatch: '"a", "x"' }, current: STRONG, verdict: "proceed" },
  { name: "If-Match names another", asked: { ifMatch: '"a"' }, current: STRONG, verdict: "failed" },
  { name: "If-Match takes any", asked: { ifMatch: "*" }, current: STRONG, verdict: "proceed" },
  { name: "If-Match takes any, and there is none", asked: { ifMatch: "*" }, current: undefined, verdict: "failed" },
  { name: "If-Match compares strongly: asked weakly", asked: { ifMatch: 'W/"x"' }, current: STRONG, verdict: "failed" },
  { name: "If-Match compares strongly: ours is weak", asked: { ifMatch: '"x"' }, current: WEAK, verdict: "failed" },
  { name: "If-Match of two weak ones", asked: { ifMatch: 'W/"x"' }, current: WEAK, verdict: "failed" },
  { name: "If-Match without quotes", asked: { ifMatch: "x" }, current: STRONG, verdict: "failed" },
  { name: "If-Match where there is no tag", asked: { ifMatch: '"x"' }, current: NAMELESS, verdict: "failed" },
  {
    name: "If-Match goes before If-Unmodified-Since",
    asked: { ifMatch: '"x"', ifUnmodifiedSince: EARLIER },
    current: STRONG,
    verdict: "proceed",
  },
  { name: "unmodified since then", asked: { ifUnmodifiedSince: SAME }, current: STRONG, verdict: "proceed" },
  { name: "unmodified since later", asked: { ifUnmodifiedSince: LATER }, current: STRONG, verdict: "proceed" },
  { name: "modified since", asked: { ifUnmodifiedSince: EARLIER }, current: STRONG, verdict: "failed" },
  {
    name: "If-Unmodified-Since of no date",
    asked: { ifUnmodifiedSince: "yesterday" },
    current: STRONG,
    verdict: "proceed",
  },
  {
    name: "If-Unmodified-Since where there is no date",
    asked: { ifUnmodifiedSince: EARLIER },
    current: { etag: '"x"' },
    verdict: "proceed",
  },
  { name: "If-None-Match names it", asked: { ifNoneMatch: '"x"' }, current: STRONG, verdict: "not_modified" },
  { name: "If-None-Match names another", asked: { ifNoneMatch: '"a"' }, current: STRONG, verdict: "proceed" },
  {
    name: "If-None-Match compares weakly: asked weakly",
    asked: { ifNoneMatch: 'W/"x"' },
    current: STRONG,
    verdict: "not_modified",
  },
  {
    name: "If-None-Match compares weakly: ours is weak",
    asked: { ifNoneMatch: '"x"' },
    current: WEAK,
    verdict: "not_modified",
  },
  { name: "If-None-Match of any", asked: { ifNoneMatch: "*" }, current: STRONG, verdict: "not_modified" },
  {
    name: "If-None-Match of any, and there is none",
    asked: { ifNoneMatch: "*" },
    current: undefined,
    verdict: "proceed",
  },
  { name: "If-None-Match to write", asked: { ifNoneMatch: "*", isRead: false }, current: STRONG, verdict: "failed" },
  {
    name: "If-None-Match goes before If-Modified-Since",
    asked: { ifNoneMatch: '"a"', ifModifiedSince: LATER },
    current: STRONG,
    verdict: "proceed",
  },
  { name: "not modified since then", asked: { ifModifiedSince: SAME }, current: STRONG, verdict: "not_modified" },
  { name: "not modified since later", asked: { ifModifiedSince: LATER }, current: STRONG, verdict: "not_modified" },
  { name: "modified since earlier", asked: { ifModifiedSince: EARLIER }, current: STRONG, verdict: "proceed" },
  { name: "If-Modified-Since of no date", asked: { ifModifiedSince: "0" }, current: STRONG, verdict: "proceed" },
  {
    name: "If-Modified-Since to write",
    asked: { ifModifiedSince: LATER, isRead: false },
    current: STRONG,
    verdict: "proceed",
  },
  {
    name: "a failed If-Match beside a fitting If-None-Match",
    asked: { ifMatch: '"a"', ifNoneMatch: '"x"' },
    current: STRONG,
    verdict: "failed",
  },
  {
    name: "a fitting If-Match beside a fitting If-None-Match",
    asked: { ifMatch: '"x"', ifNoneMatch: '"x"' },
    current: STRONG,
    verdict: "not_modified",
  },
];

const NOTHING: Conditions = {
  isRead: true,
  ifMatch: null,
  ifUnmodifiedSince: null,
  ifNoneMatch: null,
  ifModifiedSince: null,
};

for (const { name, asked, current, verdict } of table) {
  Deno.test(`conditions: ${name}`, () => assertEquals(judge({ ...NOTHING, ...asked }, current, NOW), verdict));
}

/** RFC 9110 §13.1.5. */
const ranges: readonly {
  readonly name: string;
  readonly ifRange: string | null;
  readonly current: Validators;
  readonly applies: boolean;
}[] = [
  { name: "nothing is asked", ifRange: null, current: STRONG, applies: true },
  { name: "the same tag", ifRange: '"x"', current: STRONG, applies: true },
  { name: "another tag", ifRange: '"a"', current: STRONG, applies: false },
  { name: "a weak tag never fits", ifRange: 'W/"x"', current: WEAK, applies: false },
  { name: "ours is weak", ifRange: '"x"', current: WEAK, applies: false },
  { name: "the same date", ifRange: SAME, current: STRONG, applies: true },
  { name: "a later date is another", ifRange: LATER, current: STRONG, applies: false },
  { name: "an earlier date", ifRange: EARLIER, current: STRONG, applies: false },
  { name: "a date, and we have none", ifRange: SAME, current: { etag: '"x"' }, applies: false },
  { name: "a list of tags", ifRange: '"x", "y"', current: STRONG, applies: false },
  { name: "neither tag nor date", ifRange: "*", current: STRONG, applies: false },
];

for (const { name, ifRange, current, applies } of ranges) {
  Deno.test(`If-Range: ${name}`, () => assertEquals(rangeApplies(ifRange, current, NOW), applies));
}

Deno.test("tags: a list of them, some with commas within", () => {
  assertEquals(parseTags('"a,b" ,, W/"c" , ""'), ['"a,b"', 'W/"c"', '""']);
  assertEquals(parseTags('"a"'), ['"a"']);
  for (const bad of ["", ",", "a", '"a', '"a" "b"', '"a"b', 'w/"a"', '"a b"x', '"a", b']) {
    assertEquals(parseTags(bad), undefined);
  }
});

Deno.test("tags: any text is read in one go, and a list that was made is read back", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseTags(text)));
  const tag = fc.tuple(fc.constantFrom("", "W/"), fc.stringMatching(/^[!#-~]{0,20}$/)).map(([weak, text]) =>
    `${weak}"${text}"`
  );
  fc.assert(fc.property(fc.array(tag, { minLength: 1 }), (tags) => assertEquals(parseTags(tags.join(", ")), tags)));
});

Deno.test("dates: the three forms of RFC 9110 §5.6.7", () => {
  const ms = Date.UTC(1994, 10, 6, 8, 49, 37);
  for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]) {
    assertEquals(parseHttpDate(text, NOW), ms, text);
  }
  assertEquals(formatHttpDate(ms), "Sun, 06 Nov 1994 08:49:37 GMT");
  assertEquals(parseHttpDate("Sunday, 06-Nov-60 08:49:37 GMT", NOW), Date.UTC(2060, 10, 6, 8, 49, 37));
  assertEquals(parseHttpDate("Sunday, 06-Nov-77 08:49:37 GMT", NOW), Date.UTC(1977, 10, 6, 8, 49, 37));
});

Deno.test("dates: what is no date is none", () => {
  const bad = ["", "0", "Sun, 06 Nov 1994 08:49:37", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT"];
  bad.push(
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "1994-11-06",
  );
  for (const text of bad) assertEquals(parseHttpDate(text, NOW), undefined, text);
  fc.assert(fc.property(fc.string(), (text) => void parseHttpDate(text, NOW)));
});

Deno.test("dates: what is written is read back, to the second", () => {
  const seconds = fc.integer({ min: 0, max: 253_402_300_799 });
  fc.assert(fc.property(seconds, (at) => assertEquals(parseHttpDate(formatHttpDate(at * 1000), NOW), at * 1000)));
});
