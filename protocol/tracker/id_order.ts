/**
 * Slots of a table in the order of their peers' ids, and found by id: one list for each beginning of three letters, as ids
 * are hashes and so spread over all of them. Four bytes a slot and 128 KiB; the ids themselves lie with whoever has the
 * table.
 *
 * Who picks ids that begin alike makes a list longer: each takes some 32,768 tries.
 */

/** Base32 has 2 to 7, which come first as texts do, and a to z. */
const DIGITS = 6;
const DIGIT_2 = 0x32;
const LETTER_A = 0x61;
const LISTS = 32 ** 3;
const NONE = -1;

export class IdOrder {
  readonly #idAt: (slot: number) => string;
  readonly #first = new Int32Array(LISTS).fill(NONE);
  #next = new Int32Array(0);

  constructor(idAt: (slot: number) => string) {
    this.#idAt = idAt;
  }

  grow(capacity: number): void {
    const next = new Int32Array(capacity);
    next.set(this.#next);
    this.#next = next;
  }

  find(id: string): number | undefined {
    for (let slot = this.#first[listOf(id)]!; slot !== NONE; slot = this.#next[slot]!) {
      if (this.#idAt(slot) === id) return slot;
    }
    return undefined;
  }

  /** `idAt(slot)` is known already, and no other slot has it. */
  add(slot: number): void {
    const id = this.#idAt(slot);
    const list = listOf(id);
    let before = NONE;
    let at = this.#first[list]!;
    while (at !== NONE && this.#idAt(at) < id) [before, at] = [at, this.#next[at]!];
    this.#next[slot] = at;
    this.#link(list, before, slot);
  }

  /** `idAt(slot)` is still known. */
  remove(slot: number): void {
    const list = listOf(this.#idAt(slot));
    let before = NONE;
    for (let at = this.#first[list]!; at !== NONE; [before, at] = [at, this.#next[at]!]) {
      if (at === slot) return this.#link(list, before, this.#next[slot]!);
    }
  }

  /** All of them, or those whose ids come after one that need not be there. */
  *after(id?: string): Generator<number> {
    const from = id === undefined ? 0 : listOf(id);
    for (let list = from; list < LISTS; list++) {
      for (let slot = this.#first[list]!; slot !== NONE; slot = this.#next[slot]!) {
        if (list > from || id === undefined || this.#idAt(slot) > id) yield slot;
      }
    }
  }

  #link(list: number, before: number, to: number): void {
    if (before === NONE) this.#first[list] = to;
    else this.#next[before] = to;
  }
}

function listOf(id: string): number {
  return (digitOf(id, 0) << 10) | (digitOf(id, 1) << 5) | digitOf(id, 2);
}

function digitOf(id: string, at: number): number {
  const code = id.charCodeAt(at);
  return code < LETTER_A ? code - DIGIT_2 : code - LETTER_A + DIGITS;
}
