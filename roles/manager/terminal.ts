/**
 * The terminal that this process was started on: its keys, its size, and the signals that concern it.
 */

import { readProcStat } from "../../native/proc_files.ts";
import { orAborted } from "../../protocol/abort.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { ESCAPE_MS, type Key, KeyReader } from "./keys.ts";
import type { Terminal, TerminalSize } from "./screen.ts";

const KEY_BYTES = 1024;
/** Where a terminal does not say. */
const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 };

export interface TerminalEvents {
  /** Its size has changed. */
  onResize(): void;
  /** Somebody wants this process to stop for a while (SIGTSTP). */
  onSuspend(): void;
  /** It goes on (SIGCONT). */
  onContinue(): void;
  /** The terminal is gone, or this process should be (SIGHUP, SIGQUIT). */
  onHangUp(): void;
  /** This process ends at once: the last moment to put things back. */
  onExit(): void;
}

/** What a program that has the whole terminal needs of it. */
export interface OwnTerminal extends Terminal {
  /** Both ways: keys come from it, frames go to it. */
  readonly isThere: boolean;
  /** Typed until the signal aborts or the terminal is gone. */
  keys(signal: AbortSignal): AsyncIterable<readonly Key[]>;
  /** Calls back until it is disposed. */
  listen(events: TerminalEvents): Disposable;
  /** Stops this process and those it was started with, as Ctrl-Z does, until SIGCONT; says whether it may. */
  stop(): boolean;
}

export function ownTerminal(clock: Clock): OwnTerminal {
  return {
    isThere: Deno.stdin.isTerminal() && Deno.stdout.isTerminal(),
    write: (text) => whileThere(() => writeWhole(text)),
    setRaw: (isRaw) => whileThere(() => Deno.stdin.setRaw(isRaw)),
    size: sizeNow,
    keys: (signal) => typedKeys(clock, signal),
    listen,
    stop() {
      if (!hasJobControl()) return false;
      Deno.kill(0, "SIGSTOP"); // SIGTSTP would come back to us; this cannot be caught
      return true;
    },
  };
}

/** A terminal that has hung up gives errors; that is heard of by SIGHUP. */
function whileThere(deed: () => void): void {
  try {
    deed();
  } catch {
    // nobody sees it any more
  }
}

function writeWhole(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function sizeNow(): TerminalSize {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || USUAL_SIZE.columns, rows: rows || USUAL_SIZE.rows };
  } catch {
    return USUAL_SIZE;
  }
}

async function* typedKeys(clock: Clock, signal: AbortSignal): AsyncGenerator<readonly Key[]> {
  const reader = new KeyReader();
  const buffer = new Uint8Array(KEY_BYTES);
  while (!signal.aborted) {
    const reading = Deno.stdin.read(buffer).catch(() => null);
    if (reader.isOpen) {
      using pause = new Pause(clock, signal);
      if (await Promise.race([reading.then(() => false), pause.over])) yield reader.flush();
    }
    const count = await orAborted(reading, signal);
    if (count === null) return;
    const keys = reader.push(buffer.subarray(0, count));
    if (keys.length > 0) yield keys;
  }
}

/** Gives true once the time of an escape sequence is over. */
class Pause implements Disposable {
  readonly over: Promise<boolean>;
  readonly #end = new AbortController();

  constructor(clock: Clock, signal: AbortSignal) {
    this.over = delay(clock, ESCAPE_MS, AbortSignal.any([signal, this.#end.signal])).then(() => true, () => false);
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}

function listen(events: TerminalEvents): Disposable {
  const listeners: readonly (readonly [Deno.Signal, () => void])[] = [
    ["SIGWINCH", () => events.onResize()],
    ["SIGTSTP", () => events.onSuspend()],
    ["SIGCONT", () => events.onContinue()],
    ["SIGHUP", () => events.onHangUp()],
    ["SIGQUIT", () => events.onHangUp()],
  ];
  const onExit = () => events.onExit();
  for (const [signal, callback] of listeners) Deno.addSignalListener(signal, callback);
  globalThis.addEventListener("unload", onExit);
  return {
    [Symbol.dispose]() {
      for (const [signal, callback] of listeners) Deno.removeSignalListener(signal, callback);
      globalThis.removeEventListener("unload", onExit);
    },
  };
}

/**
 * Whether somebody would let us go on: a shell that is in our session, which started our process group and is not in it. The
 * kernel asks the same before it lets SIGTSTP stop anything.
 */
function hasJobControl(): boolean {
  const own = readProcStat(Deno.pid);
  const leader = own && readProcStat(own.groupId);
  const shell = leader && readProcStat(leader.parentPid);
  return shell !== undefined && shell.sessionId === own?.sessionId && shell.groupId !== own.groupId;
}
