/**
 * A PostgreSQL array of one dimension as the text that stands for it in a statement (PostgreSQL 15 manual, 8.15.6): for
 * columns of thousands of values, where the client's own way of one value after the other takes most of the time.
 *
 *   `${arrayText(["a", null, 'b"c'])}::text[]`        {"a",null,"b\\"c"}
 *
 * An array of JSON is such a text but for its brackets: both put a backslash before quotes and backslashes. JSON also has
 * escapes of its own for control characters, which PostgreSQL has not, so there must be none in the texts.
 */

export type ArrayItem = string | number | boolean | bigint | null;

/** The texts in it are without control characters, such as ids and JSON. */
export function arrayText(items: readonly ArrayItem[]): string {
  const plain = items.map((item) => typeof item === "bigint" ? item.toString() : item);
  return `{${JSON.stringify(plain).slice(1, -1)}}`;
}
