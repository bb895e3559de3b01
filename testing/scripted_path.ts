/**
 * A Path that behaves as a test tells it to: works, fails with a given reason, hangs, or succeeds late whether or not
 * it was told to stop. It counts what it opens and what is closed, so that a test can say that nothing leaked.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError, DialError, type DialFailure } from "../protocol/errors.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";

/** What the next dials do. `deaf` ignores the signal, as a careless transport would. */
export interface Script {
  readonly fail?: DialFailure;
  /** How long until it succeeds or fails; Infinity hangs. Default 0. */
  readonly afterMs?: number;
  readonly deaf?: boolean;
  /** What it opens ends before a byte has come. */
  readonly mute?: boolean;
}

export class ScriptedPath implements Path {
  script: Script = {};
  dials = 0;
  opened = 0;
  closedStreams = 0;
  isClosed = false;
  readonly targets: Target[] = [];
  readonly datagrams?: (options?: DialOptions) => Promise<Datagrams>;
  readonly #clock: Clock;

  constructor(clock: Clock, options: { readonly datagrams?: boolean } = {}) {
    this.#clock = clock;
    if (options.datagrams) {
      this.datagrams = (dial) => this.#open(dial).then((closing) => new SilentDatagrams(closing));
    }
  }

  get openStreams(): number {
    return this.opened - this.closedStreams;
  }

  dial(target: Target, options?: DialOptions): Promise<Stream> {
    this.targets.push(target);
    return this.#open(options).then((closing) => new OneByteStream(closing, this.script.mute));
  }

  close(): void {
    this.isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Waits as the script says; gives what to call when the opened thing is closed. */
  async #open(options: DialOptions = {}): Promise<() => void> {
    this.dials++;
    const { fail, afterMs = 0, deaf = false } = this.script;
    const signal = deaf ? undefined : options.signal;
    if (afterMs === Infinity) await hang(signal);
    else if (afterMs > 0) await delay(this.#clock, afterMs, signal);
    if (fail) throw new DialError(fail, `scripted ${fail}`);
    this.opened++;
    return () => void this.closedStreams++;
  }
}

function hang(signal?: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    else signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Answers a byte or nothing, and counts its first close only. */
class OneByteStream implements Stream {
  readonly #isMute: boolean;
  #onClose: (() => void) | undefined;

  constructor(onClose: () => void, isMute = false) {
    this.#onClose = onClose;
    this.#isMute = isMute;
  }

  read(into: Uint8Array): Promise<number | null> {
    if (!this.#onClose) return Promise.reject(new CulvertError("closed", "Cannot read after close()"));
    if (this.#isMute) return Promise.resolve(null);
    into[0] = 72;
    return Promise.resolve(1);
  }

  write(from: Uint8Array): Promise<number> {
    return Promise.resolve(from.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#onClose?.();
    this.#onClose = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class SilentDatagrams implements Datagrams {
  readonly #onClose: () => void;

  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  send(): Promise<void> {
    return Promise.resolve();
  }

  receive(): Promise<null> {
    return Promise.resolve(null);
  }

  close(): void {
    this.#onClose();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
