/**
 * Holds what a document shows of a command's output against what was printed: the same lines in the same order, alike in shape.
 * Peer ids, numbers, times and amounts are never the same twice, and a table may have more rows than the document shows.
 */

/** The first shown line that has no like among those printed behind the likes of the lines before it; undefined for none. */
export function differenceInShape(shown: readonly string[], printed: readonly string[]): string | undefined {
  let at = 0;
  for (const line of shown) {
    const shape = shapeOf(line);
    if (shape === "") continue;
    const found = printed.findIndex((candidate, index) => index >= at && shapeOf(candidate) === shape);
    if (found === -1) return line;
    at = found + 1;
  }
  return undefined;
}

/** The words of a line, with what changes from run to run left out. */
export function shapeOf(line: string): string {
  return line.trim().replaceAll(/\b[a-z2-7]{26}\b/g, "ID").replaceAll(/\S{43}=/g, "KEY")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME").replaceAll(/(?<![a-z])\d+(\.\d+)?/gi, "N").replaceAll(
      /(N(ms|[smhd]))+/g,
      "DURATION",
    )
    .replaceAll(/\s+/g, " ");
}
