/**
 * Holds what a document shows of a command's output against what was printed: the same lines in the same order, alike in shape.
 * What `…` stands for is not looked at. Peer ids, numbers, times and amounts are never the same twice, and a table may have more rows than the document shows.
 */

/** The first shown line that has no like among those printed behind the likes of the lines before it; undefined for none. */
export function differenceInShape(
  shown: readonly string[],
  printed: readonly string[],
  { anyOrder = false }: { readonly anyOrder?: boolean } = {},
): string | undefined {
  let at = 0;
  for (const line of shown) {
    const shape = shapeOf(line);
    if (shape === "" || shape === "…") continue;
    const found = printed.findIndex((candidate, index) => index >= at && shapeOf(candidate) === shape);
    if (found === -1) return line;
    if (!anyOrder) at = found + 1;
  }
  return undefined;
}

/** What changes from run to run, and what stands for it. */
const CHANGING: readonly (readonly [RegExp, string])[] = [
  [/\b[a-z2-7]{26}\b/g, "ID"],
  [/\S{43}=/g, "KEY"],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME"],
  [/\b(\d+(\.\d+)?(ms|[smhd]))+\b/g, "DURATION"],
  [/\d+(\.\d+)*/g, "N"],
  [/\s+/g, " "],
  // Not all of them are known at once.
  [/DURATION( DURATION)+/g, "DURATION"],
];

/** The words of a line, with what changes left out. */
export function shapeOf(line: string): string {
  return CHANGING.reduce((text, [pattern, name]) => text.replaceAll(pattern, name), line.trim());
}
