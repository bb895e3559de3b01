import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type ArrayItem, arrayText } from "./array_text.ts";
import { postgresForTests } from "./fixtures/test_database.ts";

const postgres = postgresForTests();

Deno.test("array text: what a statement is given", () => {
  const rows: readonly [items: readonly ArrayItem[], text: string][] = [
    [[], "{}"],
    [["a", "b"], '{"a","b"}'],
    [[null, "null", ""], '{null,"null",""}'],
    [['say "x"', "\\", "{a,b}"], '{"say \\"x\\"","\\\\","{a,b}"}'],
    [[1, -2n, 9_007_199_254_740_993n, true], '{1,"-2","9007199254740993",true}'],
  ];
  for (const [items, text] of rows) assertEquals(arrayText(items), text);
});

postgres.test("array text: PostgreSQL reads what was written, be it ids or JSON", async ({ database: { sql } }) => {
  const json = fc.jsonValue().map((value) => JSON.stringify(value).replaceAll("\\u0000", ""));
  const items = fc.array(
    fc.oneof(fc.string({ unit: "binary" }).map(withoutControls), json.map(withoutControls), fc.constant(null)),
  );
  await fc.assert(fc.asyncProperty(items, async (items) => {
    const [row] = await sql<{ items: (string | null)[] }[]>`SELECT to_json(${arrayText(items)}::text[]) AS items`;
    assertEquals(row?.items, items);
  }));
});

/** Nor halves of surrogates, which are no text. */
function withoutControls(text: string): string {
  return [...text.toWellFormed()].filter((character) => character >= " ").join("");
}
