/**
 * How a fetch gets on, for whoever waits for it: a bar that is drawn again and again on a terminal, a line now and then
 * elsewhere, events as lines of JSON with `--json`.
 *
 *   film.mkv [████████░░░░░░░░] 52%  1.2 GiB  98.1 MiB/s  12s left  2 sources, 1 direct
 */

import type { FetchStart, FetchTools } from "../../net/transfers/fetch_file.ts";
import type { SourceProgress } from "../../net/transfers/download.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { TransferSpeed } from "../../protocol/files/transfer_speed.ts";
import { escapeText } from "../escape.ts";
import type { RoleContext } from "../role.ts";
import { bytesText, spanText } from "../table.ts";

const DRAW_EVERY_MS = 200;
const TELL_EVERY_MS = 5000;
const EVENT_EVERY_MS = 1000;
const MAX_COLUMNS = 120;
const MIN_BAR = 8;
const MAX_BAR = 30;
const MAX_NAME = 24;

/** What people look at. */
export interface Screen {
  readonly isTerminal: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Standard error of this process. */
export function stderrScreen(): Screen {
  const isTerminal = Deno.stderr.isTerminal();
  return {
    isTerminal,
    get columns() {
      try {
        return Deno.consoleSize().columns || 80; // some terminals do not say
      } catch {
        return 80; // no terminal has it
      }
    },
    write: (text) => void Deno.stderr.writeSync(new TextEncoder().encode(text)),
  };
}

type Context = Pick<RoleContext, "json" | "print" | "tell"> & { readonly clock: Clock };

/** What is under way at present. */
interface Current {
  readonly start: FetchStart;
  readonly fetchedBytes: number;
}

export class Progress implements Disposable {
  readonly #context: Context;
  readonly #screen: Screen;
  readonly #speed: TransferSpeed;
  readonly #startMs: number;
  readonly #bytes = new Map<string, number>();
  #timer: Timer | undefined;
  #current: Current | undefined;
  #files = 0;
  #fetchedBytes = 0;
  #isDrawn = false;

  constructor(context: Context, screen: Screen = stderrScreen()) {
    this.#context = context;
    this.#screen = screen;
    this.#startMs = context.clock.now();
    this.#speed = new TransferSpeed(this.#startMs);
    this.#wind();
  }

  /** Bytes that were fetched in all, and by whom. */
  get fetched(): ReadonlyMap<string, number> {
    return this.#bytes;
  }

  get fetchedBytes(): number {
    return this.#fetchedBytes;
  }

  get tookMs(): number {
    return this.#context.clock.now() - this.#startMs;
  }

  /** To be told by a fetch. */
  get listeners(): Required<Pick<FetchTools, "onStart" | "onBytes" | "onRestart">> {
    return {
      onStart: (start) => {
        this.#files++;
        this.#current = { start, fetchedBytes: this.#fetchedBytes };
        const { path, size, keptBytes, isVerified } = start;
        this.event("start", { path, size, keptBytes, isVerified });
      },
      onBytes: (peerId, bytes) => {
        this.#fetchedBytes += bytes;
        this.#bytes.set(peerId, (this.#bytes.get(peerId) ?? 0) + bytes);
        this.#speed.add(bytes, this.#context.clock.now());
      },
      onRestart: (path) => {
        this.event("restart", { path });
        this.say(`${path} was changed at its source: fetching it as it is now`);
      },
    };
  }

  /** For programs; nothing for people. */
  event(event: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#context.json) this.#context.print(JSON.stringify({ event, ...fields }));
  }

  /** For people; nothing for programs. */
  say(text: string): void {
    if (this.#context.json) return;
    this.#clear();
    this.#context.tell(escapeText(text));
  }

  /** What came of it, for people. */
  result(text: string): void {
    if (this.#context.json) return;
    this.#clear();
    this.#context.print(escapeText(text));
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#clear();
  }

  #wind(): void {
    const { json, clock } = this.#context;
    const everyMs = json ? EVENT_EVERY_MS : this.#screen.isTerminal ? DRAW_EVERY_MS : TELL_EVERY_MS;
    this.#timer = clock.after(everyMs, () => {
      this.#show();
      this.#wind();
    });
  }

  #show(): void {
    const { json, tell } = this.#context;
    if (!this.#current) return;
    const status = this.#status(this.#current);
    if (json) return this.event("progress", status);
    if (!this.#screen.isTerminal) return tell(statusLine(status, 80));
    this.#isDrawn = true;
    // The last column is left free: some terminals go to the next line when it is written to.
    this.#screen.write(`\r${statusLine(status, Math.min(MAX_COLUMNS, this.#screen.columns - 1))}\x1b[K`);
  }

  #status({ start, fetchedBytes }: Current): Status {
    const nowMs = this.#context.clock.now();
    const { path, size, keptBytes, download } = start;
    const doneBytes = Math.min(size, download?.doneBytes ?? keptBytes + this.#fetchedBytes - fetchedBytes);
    const sources = download?.sources ?? [];
    return {
      path,
      size,
      doneBytes,
      files: this.#files,
      fetchedBytes: this.#fetchedBytes,
      bytesPerSecond: Math.round(this.#speed.bytesPerSecond(nowMs)),
      remainingMs: this.#speed.remainingMs(size - doneBytes, nowMs),
      sources: sources.map(({ peerId, way, bytes, dropped }) => ({ peerId, way, bytes, dropped })),
    };
  }

  #clear(): void {
    if (this.#isDrawn) this.#screen.write("\r\x1b[K");
    this.#isDrawn = false;
  }
}

export interface Status extends Record<string, unknown> {
  readonly path: string;
  readonly size: number;
  readonly doneBytes: number;
  /** Begun so far. */
  readonly files: number;
  /** Of all of them. */
  readonly fetchedBytes: number;
  readonly bytesPerSecond: number;
  readonly remainingMs: number | undefined;
  readonly sources: readonly Omit<SourceProgress, "label">[];
}

/** One line of at most so many columns. */
export function statusLine(status: Status, columns: number): string {
  const { path, size, doneBytes, files, bytesPerSecond, remainingMs, sources } = status;
  const share = size === 0 ? 1 : doneBytes / size;
  const facts = [
    `${Math.floor(share * 100)}%`.padStart(4),
    bytesText(size),
    ...bytesPerSecond > 0 ? [`${bytesText(bytesPerSecond)}/s`] : [],
    ...remainingMs === undefined ? [] : [`${spanText(remainingMs)} left`],
    ...files > 1 ? [`file ${files}`] : [],
    ...sourcesText(sources),
  ].join("  ");
  const name = shorten(escapeText(path.split("/").at(-1)!), MAX_NAME);
  const room = columns - name.length - facts.length - 4;
  if (room < MIN_BAR) return shorten(`${name} ${facts}`, columns);
  const width = Math.min(MAX_BAR, room);
  const full = Math.round(share * width);
  return `${name} [${"█".repeat(full)}${"░".repeat(width - full)}] ${facts}`;
}

function sourcesText(sources: Status["sources"]): string[] {
  const asked = sources.filter(({ dropped }) => dropped === undefined);
  if (asked.length === 0) return [];
  const direct = asked.filter(({ way }) => way === "direct").length;
  if (asked.length === 1) return asked[0]!.way === undefined ? [] : [asked[0]!.way];
  return [`${asked.length} sources, ${direct} direct`];
}

function shorten(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
