/**
 * Hostile input, made by fast-check: any bytes at all, valid messages with something done to them, and byte strings cut
 * at any points, as a network cuts them.
 */

import fc from "fast-check";

/** Any bytes, short ones and special values more often than chance would have it. */
export function anyBytes(maxLength = 512): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ maxLength, size: "max" });
}

type Mutation =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "set"; readonly at: number; readonly value: number }
  | { readonly kind: "cut"; readonly at: number; readonly length: number }
  | { readonly kind: "truncate"; readonly at: number }
  | { readonly kind: "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "repeat"; readonly at: number; readonly length: number };

/**
 * Where, as a share of the message's length, so that a mutation fits messages of any size while shrinking. Made from
 * whole numbers, because `fc.double` prefers tiny ones.
 */
const place = fc.integer({ min: 0, max: 9999 }).map((tenThousandths) => tenThousandths / 10_000);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ kind: fc.constant("set" as const), at: place, value: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff) }),
  fc.record({ kind: fc.constant("cut" as const), at: place, length: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ kind: fc.constant("truncate" as const), at: place }),
  fc.record({ kind: fc.constant("insert" as const), at: place, bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
  fc.record({ kind: fc.constant("repeat" as const), at: place, length: fc.integer({ min: 1, max: 32 }) }),
);

/** Valid messages with one to four things done to them: bits flipped, parts cut, inserted, repeated. */
export function mutationsOf(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(valid, fc.array(mutation, { minLength: 1, maxLength: 4 }))
    .map(([message, mutations]) => mutations.reduce(mutate, message));
}

function mutate(message: Uint8Array, mutation: Mutation): Uint8Array {
  const at = Math.min(Math.floor(mutation.at * message.length), Math.max(0, message.length - 1));
  const before = message.subarray(0, at);
  switch (mutation.kind) {
    case "flip":
      return concat(
        before,
        message.subarray(at, at + 1).map((byte) => byte ^ (1 << mutation.bit)),
        message.subarray(at + 1),
      );
    case "set":
      return concat(before, message.subarray(at, at + 1).map(() => mutation.value), message.subarray(at + 1));
    case "cut":
      return concat(before, message.subarray(at + mutation.length));
    case "truncate":
      return before.slice();
    case "insert":
      return concat(before, mutation.bytes, message.subarray(at));
    case "repeat":
      return concat(before, message.subarray(at, at + mutation.length), message.subarray(at));
  }
}

/** The same bytes in pieces, cut at any points; pieces may be empty. */
export function piecesOf(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array[]> {
  return fc.tuple(bytes, fc.array(place, { maxLength: 12 })).map(([whole, places]) => {
    const cuts = places.map((share) => Math.floor(share * whole.length)).sort((a, b) => a - b);
    return [...cuts, whole.length].map((end, index) => whole.slice(cuts[index - 1] ?? 0, end));
  });
}

export interface DecoderTest {
  /** Valid messages, to be mutated. */
  readonly valid?: fc.Arbitrary<Uint8Array>;
  readonly maxLength?: number;
  readonly runs?: number;
}

/**
 * Shows that a decoder survives any bytes: it gives a result or `undefined`, never throws, and leaves its input as it
 * was. With `valid`, mutated messages too, which reach deeper than chance.
 */
export function assertDecoderSurvives(decode: (bytes: Uint8Array) => unknown, options: DecoderTest = {}): void {
  const { valid, maxLength = 512, runs = 1000 } = options;
  const survives = (bytes: Uint8Array) => {
    const before = bytes.slice();
    decode(bytes);
    return before.every((byte, at) => byte === bytes[at]);
  };
  fc.assert(fc.property(anyBytes(maxLength), survives), { numRuns: runs });
  if (valid) fc.assert(fc.property(mutationsOf(valid), survives), { numRuns: runs });
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
