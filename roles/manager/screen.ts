/**
 * A whole terminal to draw on: the alternate screen, so that what was there before comes back; raw keys; no cursor.
 *
 *   open ─▶ draw, draw … ─▶ suspend ─▶ resume ─▶ draw … ─▶ dispose: all as it was before
 *
 * A frame is one write, held together by synchronized output (DEC mode 2026), and only of lines that have changed: each is
 * written over the old one and then its rest is erased. Nothing is ever cleared, so nothing flickers. Lines have to be
 * shorter than the terminal is wide. After SIGKILL nobody puts the terminal back: `reset` does.
 */

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What is drawn on; `terminal.ts` has the real one. */
export interface Terminal {
  /** Whole, now. Never throws: of a terminal that is gone nobody sees anything. */
  write(text: string): void;
  /** Keys come one by one, and none of them is a signal. */
  setRaw(isRaw: boolean): void;
  size(): TerminalSize;
}

/** Alternate screen, no cursor, no wrapping of lines that are too long. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
const BEGIN_FRAME = "\x1b[?2026h";
const END_FRAME = "\x1b[?2026l";

export class Screen implements Disposable {
  readonly #terminal: Terminal;
  /** What it shows, by rows; undefined where that is not known. */
  #shown: readonly string[] | undefined;
  #isOpen = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.resume();
  }

  get size(): TerminalSize {
    return this.#terminal.size();
  }

  /** Shows these lines and nothing else. Nothing while it is suspended. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const { rows } = this.size;
    const wanted = Array.from({ length: rows }, (_, row) => lines[row] ?? "");
    const shown = this.#shown?.length === rows ? this.#shown : undefined;
    const changes = wanted.map((line, row) => shown?.[row] === line ? "" : `\x1b[${row + 1};1H${line}\x1b[K`).join("");
    this.#shown = wanted;
    if (changes !== "") this.#terminal.write(BEGIN_FRAME + changes + END_FRAME);
  }

  /** Others may have written over it: the next frame is drawn whole. */
  forget(): void {
    this.#shown = undefined;
  }

  /** Gives the terminal back, until it is resumed. */
  suspend(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#terminal.write(LEAVE);
    this.#terminal.setRaw(false);
  }

  /** Takes the terminal; also one that it has, whose state others may have changed. */
  resume(): void {
    this.#isOpen = true;
    this.#terminal.setRaw(true);
    this.#terminal.write(ENTER);
    this.forget();
  }

  [Symbol.dispose](): void {
    this.suspend();
  }
}
