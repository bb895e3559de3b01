/**
 * Spreading streams over members. Two are drawn by weight, with replacement, and the one with less to do wins ("the
 * power of two choices", Mitzenmacher 1996): idle members share exactly by weight, and a slow or crowded one gets less
 * without anybody comparing them all. What a member has to do is
 *
 *   streams open and being opened × smoothed latency ÷ weight        (latency counts once all have been measured)
 */

import { type Random, randomInt } from "../protocol/random.ts";
import type { Stream } from "../protocol/stream.ts";
import type { Watched } from "./monitor.ts";

/** The members in the order they should be tried: up ones as drawn, each when it is its turn; then those that are down, or know they are. */
export function* balanced(members: readonly Watched[], random: Random): Generator<Watched> {
  const left = new Set(members);
  while (left.size > 0) {
    const up = [...left].filter(({ path, health }) => health.up && path.problem === undefined);
    const next = up.length > 0 ? lessBusyOfTwo(up, random) : [...left][0]!;
    left.delete(next);
    yield next;
  }
}

function lessBusyOfTwo(members: readonly Watched[], random: Random): Watched {
  const measured = members.every(({ health }) => health.latencyMs !== undefined);
  const load = ({ openStreams, weight, health }: Watched) => openStreams * (measured ? health.latencyMs! : 1) / weight;
  const first = drawByWeight(members, random);
  const second = drawByWeight(members, random);
  return load(second) < load(first) ? second : first;
}

function drawByWeight(members: readonly Watched[], random: Random): Watched {
  let left = random.next() * members.reduce((sum, { weight }) => sum + weight, 0);
  for (const member of members) {
    left -= member.weight;
    if (left < 0) return member;
  }
  return members[randomInt(random, members.length)]!; // only by rounding
}

/** A stream that tells when it is closed, so that its member has one less. */
export class CountedStream implements Stream {
  /** Present where the stream has one: otherwise a cut would end in `close`, and the far side take it for the end. */
  readonly abort?: () => void;
  readonly #stream: Stream;
  #onClose: (() => void) | undefined;

  constructor(stream: Stream, onClose: () => void) {
    this.#stream = stream;
    this.#onClose = onClose;
    if (stream.abort) this.abort = () => this.#end(() => stream.abort!());
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#stream.read(into);
  }

  write(from: Uint8Array): Promise<number> {
    return this.#stream.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#stream.closeWrite();
  }

  close(): void {
    this.#end(() => this.#stream.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #end(end: () => void): void {
    const onClose = this.#onClose;
    if (!onClose) return;
    this.#onClose = undefined;
    onClose();
    end();
  }
}
