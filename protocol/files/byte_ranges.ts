/**
 * Which bytes a `Range` header asks for, RFC 9110 §14.1 and §14.2.
 *
 *   bytes=0-499, 500-, -200   ─▶  [0,500) [500,size) [size-200,size)  ─▶  those that touch are joined
 *
 * What the RFC lets a server ignore is ignored, and the whole is sent: other units, bad syntax, more ranges than anybody needs.
 * A range that ends past the content is cut; one that begins past it is left out, and if that leaves none the answer is 416.
 */

/** Bytes from `start` up to, and without, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type RangesWanted =
  | { readonly kind: "all" }
  | { readonly kind: "some"; readonly ranges: readonly ByteRange[] }
  /** 416. */
  | { readonly kind: "unsatisfiable" };

/** More than a player or a download ever asks for at once; many small ones are how servers are made to work for nothing. */
export const MAX_RANGES = 16;
/** A range costs about this much in a multipart body: what lies between two may as well be sent. */
const JOIN_GAP_BYTES = 80;

const ALL: RangesWanted = { kind: "all" };
const SPEC = /^(?:(\d+)-(\d*)|-(\d+))$/;

/** Of a content of `size` bytes. An empty one has no ranges. */
export function rangesWanted(header: string | null | undefined, size: number): RangesWanted {
  const set = header && /^bytes=(.*)$/i.exec(header.trim())?.[1];
  if (!set || size === 0) return ALL;
  const specs = set.split(",").map(trimBlanks).filter((spec) => spec !== "");
  if (specs.length === 0 || specs.length > MAX_RANGES) return ALL;
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const range = rangeOf(spec, size);
    if (range === "malformed") return ALL;
    if (range) ranges.push(range);
  }
  return ranges.length === 0 ? { kind: "unsatisfiable" } : { kind: "some", ranges: joined(ranges) };
}

/** `Content-Range` of a part. */
export function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`;
}

/** Undefined for one that no byte of the content is in. */
function rangeOf(spec: string, size: number): ByteRange | undefined | "malformed" {
  const match = SPEC.exec(spec);
  if (!match) return "malformed";
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? undefined : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return "malformed";
  return start >= size ? undefined : { start, end };
}

/** Ranges that overlap or nearly touch become one, which stands where the first of them stood. */
function joined(ranges: readonly ByteRange[]): ByteRange[] {
  const order = ranges.map((range, place) => ({ ...range, place })).sort((a, b) => a.start - b.start);
  const groups: { start: number; end: number; place: number }[] = [];
  for (const range of order) {
    const last = groups.at(-1);
    if (last && range.start <= last.end + JOIN_GAP_BYTES) {
      last.end = Math.max(last.end, range.end);
      last.place = Math.min(last.place, range.place);
    } else {
      groups.push(range);
    }
  }
  return groups.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}

function trimBlanks(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}
