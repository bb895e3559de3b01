/**
 * What a role needs of the process it runs in, as an interface, so that a test can stand in for the process.
 * `denoHost()` is the real one.
 */

import process from "node:process";
import type { ProcessFigures } from "../edge/metrics.ts";
import { type Clock, clockOf } from "../protocol/clock.ts";
import { type Random, randomOf } from "../protocol/random.ts";

export interface Host {
  readonly clock: Clock;
  readonly random: Random;
  env(name: string): string | undefined;
  readTextFile(path: string): Promise<string>;
  readonly isRoot: boolean;
  /** Writes to standard output, whole, now; false when nobody reads it any more. */
  print(text: string): boolean;
  /** Writes to standard error, whole, now: for the few lines said before there is a log. */
  complain(text: string): void;
  /** Writes some of the bytes to standard error and says how many. */
  writeLog(bytes: Uint8Array): Promise<number>;
  /** Whether standard error is a terminal. */
  readonly logIsTerminal: boolean;
  /** Calls back whenever SIGINT or SIGTERM arrives, until disposed. */
  onStopSignal(callback: () => void): Disposable;
  /** Calls back for errors that nothing caught, until disposed. */
  onUncaught(callback: (error: unknown) => void): Disposable;
  processFigures(): ProcessFigures;
}

/** This process. */
export function denoHost(): Host {
  return {
    clock: clockOf(globalThis),
    random: randomOf(crypto),
    env: (name) => Deno.env.get(name),
    isRoot: Deno.uid() === 0,
    readTextFile: (path) => Deno.readTextFile(path),
    print: (text) => writeWhole(Deno.stdout, text),
    complain: (text) => void writeWhole(Deno.stderr, text),
    writeLog: (bytes) => Deno.stderr.write(bytes),
    logIsTerminal: Deno.stderr.isTerminal(),
    onStopSignal,
    onUncaught,
    processFigures,
  };
}

/** Gives whether somebody reads it. */
function writeWhole(to: { writeSync(bytes: Uint8Array): number }, text: string): boolean {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
    return true;
  } catch (error) {
    // `culvert help | head` closes the pipe early, and that is no failure.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    return false;
  }
}

function onStopSignal(callback: () => void): Disposable {
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, callback);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) Deno.removeSignalListener(signal, callback);
    },
  };
}

function onUncaught(callback: (error: unknown) => void): Disposable {
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    callback(event.error);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    callback(event.reason);
  };
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    [Symbol.dispose]() {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}

function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = Deno.memoryUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: rss,
    heapBytes: heapUsed,
    startTimeSeconds: performance.timeOrigin / 1000,
  };
}
