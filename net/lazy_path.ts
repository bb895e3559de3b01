/**
 * A Path that is still being opened: dials wait for it. Opening begins at once; when it fails, or what was opened ends by
 * itself, every dial says why, and the next one after a while tries again.
 */

import { orAborted } from "../protocol/abort.ts";
import type { Clock } from "../protocol/clock.ts";
import { DialError, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";

export interface EndingPath extends Path {
  /** Settles when it has ended: with why, unless it was closed. */
  readonly ended?: Promise<Error | undefined> | undefined;
}

/** After a failure. */
const RETRY_MS = 1000;

export class LazyPath implements Path {
  readonly #open: () => Promise<EndingPath>;
  readonly #clock: Clock;
  readonly #log: Log;
  #path: Promise<Path>;
  #failedAtMs = -Infinity;
  #opened: Path | undefined;
  #failure: string | undefined;
  #isClosed = false;

  constructor(open: () => Promise<EndingPath>, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#open = open;
    this.#clock = clock;
    this.#log = log;
    this.#path = this.#begin();
  }

  get problem(): string | undefined {
    return this.#opened ? this.#opened.problem : this.#failure ?? "It is still being opened";
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return await (await this.#ready(options.signal)).dial(target, options);
  }

  async datagrams(options: DialOptions = {}): Promise<Datagrams> {
    const path = await this.#ready(options.signal);
    if (path.datagrams) return await path.datagrams(options);
    throw new DialError("unsupported", "Cannot open a datagram socket: this path carries none");
  }

  close(): void {
    this.#isClosed = true;
    this.#path.then((path) => path.close(), () => {});
  }

  async closed(): Promise<void> {
    await (await this.#path.catch(() => undefined))?.closed?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #ready(signal: AbortSignal | undefined): Promise<Path> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new DialError("path_down", "Cannot dial: the path is closed");
    if (this.#clock.now() - this.#failedAtMs >= RETRY_MS) {
      if (this.#failedAtMs !== -Infinity) this.#path = this.#begin();
    }
    try {
      return await orAborted(this.#path, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof DialError ? error : new DialError("path_down", messageOf(error), { cause: error });
    }
  }

  #begin(): Promise<Path> {
    this.#failedAtMs = -Infinity;
    const path = this.#open();
    path.then((opened) => {
      this.#opened = opened;
      this.#failure = undefined;
      if (this.#isClosed) opened.close();
      opened.ended?.then((error) => error && this.#onEnded(error));
    }, (error) => this.#onFailure(error));
    return path;
  }

  #onEnded(error: Error): void {
    if (this.#isClosed) return;
    this.#opened = undefined;
    this.#path = Promise.reject(error);
    this.#path.catch(() => {}); // dials hear of it
    this.#onFailure(error);
  }

  #onFailure(error: unknown): void {
    const failure = messageOf(error);
    if (failure !== this.#failure) this.#log.warn("A path cannot be opened", { error: failure });
    this.#failure = failure;
    this.#failedAtMs = this.#clock.now();
  }
}
