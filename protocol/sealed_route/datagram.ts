/**
 * A datagram that goes by a sealed route: a stack of tickets, one for each relay on its way, and a payload.
 *
 *   kind 2 bits, count 3, passed 3 │ label 7 │ tickets 64 × count │ payload
 *
 * Tickets before `passed` are the return stack, those from it on the forward stack. A relay opens the first ticket of the
 * forward stack and adds one to `passed`, which takes it from one stack and puts it on the other: nothing is moved, the
 * datagram leaves as long as it came, and after at most `MAX_HOPS` of them it can go no further. Whoever it has reached has
 * passed = count, and answers with the tickets in reverse and passed = 0.
 *
 * The label is drawn by who opens the route and comes back in answers. It names a flow to its two ends, while tickets are
 * renewed; relays do not look at it.
 */

export const HEAD_BYTES = 8;
export const LABEL_AT = 1;
export const LABEL_BYTES = 7;
export const TICKET_BYTES = 64;
export const MAX_HOPS = 4;

/** What the payload is: between the ends, for a relay, or from one. */
export const RouteKind = { data: 0, question: 1, answer: 2 } as const;
export type RouteKind = (typeof RouteKind)[keyof typeof RouteKind];

export function headByte(kind: RouteKind, count: number, passed: number): number {
  return kind << 6 | count << 3 | passed;
}

export function kindOf(head: number): number {
  return head >> 6;
}

export function countOf(head: number): number {
  return head >> 3 & 7;
}

export function passedOf(head: number): number {
  return head & 7;
}

/** How far the payload is from the datagram's beginning. */
export function routeBytes(count: number): number {
  return HEAD_BYTES + TICKET_BYTES * count;
}

/** Whether bytes that begin with this head, and are so many, are such a datagram. */
export function isRouted(head: number, lengthBytes: number): boolean {
  const count = countOf(head);
  return head >> 6 <= RouteKind.answer && count <= MAX_HOPS && passedOf(head) <= count &&
    lengthBytes >= routeBytes(count);
}

/** Makes of a datagram that has come the head of one that goes back: the stack in reverse, none of it passed. */
export function turnAround(bytes: Uint8Array, start: number, kind: RouteKind): void {
  const count = countOf(bytes[start]!);
  bytes[start] = headByte(kind, count, 0);
  for (let low = 0, high = count - 1; low < high; low++, high--) {
    swapTickets(bytes, start + routeBytes(low), start + routeBytes(high));
  }
}

function swapTickets(bytes: Uint8Array, one: number, other: number): void {
  for (let at = 0; at < TICKET_BYTES; at++) {
    const byte = bytes[one + at]!;
    bytes[one + at] = bytes[other + at]!;
    bytes[other + at] = byte;
  }
}
