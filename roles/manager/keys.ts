/**
 * Keys from the bytes that a terminal in raw mode sends: a character is its own name, others have words.
 *
 *   a / ?            themselves            1b 5b 41 (CSI A), 1b 4f 41 (SS3 A)   up
 *   03               ctrl-c                1b and then nothing                  escape
 *
 * A sequence may come in pieces, and begins as the escape key does: whoever reads waits a moment (`ESCAPE_MS`) and then
 * says that no more comes (`flush`). Sequences that are not known, and characters beyond ASCII, are no keys.
 */

/** A character, or one of the words below. */
export type Key = string;

/** A terminal sends a sequence at once; networks tear it apart by less. */
export const ESCAPE_MS = 50;

const ESCAPE = 0x1b;
/** No sequence of a key is longer. */
const MAX_SEQUENCE_BYTES = 32;

const CONTROLS: Readonly<Record<number, Key>> = {
  0x03: "ctrl-c",
  0x08: "backspace",
  0x0a: "enter",
  0x0c: "ctrl-l",
  0x0d: "enter",
  0x15: "ctrl-u",
  0x1a: "ctrl-z",
  0x7f: "backspace",
};

/** By what follows CSI or SS3, as xterm and its kin send them. */
const SEQUENCES: Readonly<Record<string, Key>> = {
  A: "up",
  B: "down",
  H: "home",
  F: "end",
  "1~": "home",
  "4~": "end",
  "5~": "page-up",
  "6~": "page-down",
};

export class KeyReader {
  #rest: number[] = [];

  /** The keys that are whole by now. */
  push(bytes: Uint8Array): Key[] {
    const all = [...this.#rest, ...bytes];
    const keys: Key[] = [];
    let at = 0;
    while (at < all.length) {
      const found = keyAt(all, at);
      if (!found) break;
      if (found.key !== undefined) keys.push(found.key);
      at += found.length;
    }
    this.#rest = all.slice(at);
    return keys;
  }

  /** Whether what came last may go on. */
  get isOpen(): boolean {
    return this.#rest.length > 0;
  }

  /** No more comes of what began: it was the escape key, or nothing. */
  flush(): Key[] {
    const isEscape = this.#rest.length === 1;
    this.#rest = [];
    return isEscape ? ["escape"] : [];
  }
}

interface Found {
  readonly key?: Key | undefined;
  readonly length: number;
}

/** Undefined where more has to come. */
function keyAt(bytes: readonly number[], at: number): Found | undefined {
  const byte = bytes[at]!;
  if (byte === ESCAPE) return sequenceAt(bytes, at);
  if (byte >= 0x20 && byte < 0x7f) return { key: String.fromCharCode(byte), length: 1 };
  return { key: CONTROLS[byte], length: 1 };
}

function sequenceAt(bytes: readonly number[], at: number): Found | undefined {
  const kind = bytes[at + 1];
  if (kind === undefined) return undefined;
  const isCsi = kind === 0x5b;
  // Anything else is the escape key and a key after it.
  if (!isCsi && kind !== 0x4f) return { key: "escape", length: 1 };
  for (let end = at + 2; end < bytes.length; end++) {
    const byte = bytes[end]!;
    const length = end + 1 - at;
    if (byte >= 0x40 && byte <= 0x7e) {
      return { key: SEQUENCES[String.fromCharCode(...bytes.slice(at + 2, end + 1))], length };
    }
    // Parameters and intermediate bytes (ECMA-48 5.4); what is none of them ends a sequence that never was one.
    if (!isCsi || byte < 0x20 || byte > 0x3f || length > MAX_SEQUENCE_BYTES) return { length: length - 1 };
  }
  return undefined;
}
