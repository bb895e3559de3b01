/**
 * What a parser says about the bytes so far: a whole message and how many bytes it took, "send more", or "this can
 * never become a message". Parsers that return this never throw, whatever the bytes are.
 */

export type Parsed<T> =
  | { readonly status: "done"; readonly value: T; readonly length: number }
  | { readonly status: "more" }
  | { readonly status: "bad"; readonly reason: string };

/** The message is not complete yet. */
export const MORE: Parsed<never> = Object.freeze({ status: "more" });

export function done<T>(value: T, length: number): Parsed<T> {
  return { status: "done", value, length };
}

export function bad(reason: string): Parsed<never> {
  return { status: "bad", reason };
}
