/**
 * Streams of what changes among the peers, for those who want to hear of it (`protocol/event_stream.ts`).
 *
 *   store ─▶ change ─▶ text, made once ─▶ every listener whose filter lets it through
 *
 * There are at most so many listeners, and each may be so many events behind: then its stream ends, and whoever reads it lists
 * anew. A comment goes out now and then, by which also the dead are found.
 */

import type { PeerChange, TrackerStore } from "../../kv/tracker/store.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { EVENT_STREAM_TYPE, formatStreamEvent, KEEP_ALIVE } from "../../protocol/event_stream.ts";
import { KEEP_ALIVE_MS, type PeerFilter } from "../../protocol/tracker/messages.ts";
import { matches } from "../../protocol/tracker/tags.ts";
import { Problem } from "../problem.ts";

export interface PeerEventsOptions {
  readonly store: Pick<TrackerStore, "subscribe">;
  readonly clock: Clock;
  /** A listed peer as JSON; undefined if it is gone again. */
  textOf(peerId: string): string | undefined;
  /** Default 1,000. */
  readonly maxListeners?: number | undefined;
}

const DEFAULT_MAX_LISTENERS = 1000;
/** Events that one may be behind. */
const MAX_BEHIND = 256;
const BUSY_RETRY_MS = 30_000;

interface Listener {
  readonly filter: PeerFilter;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
}

export class PeerEvents implements Disposable {
  readonly #options: PeerEventsOptions;
  readonly #listeners = new Set<Listener>();
  readonly #subscription: Disposable;
  readonly #encoder = new TextEncoder();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: PeerEventsOptions) {
    this.#options = options;
    this.#subscription = options.store.subscribe((change) => this.#tell(change));
  }

  get size(): number {
    return this.#listeners.size;
  }

  /** A stream of events, or the problem that there are too many of them. */
  open(filter: PeerFilter): Response | Problem {
    if (this.#isClosed || this.#listeners.size >= (this.#options.maxListeners ?? DEFAULT_MAX_LISTENERS)) {
      return new Problem("busy", "Cannot tell of events: too many listen already; list instead, or try again", {
        retryAfterMs: BUSY_RETRY_MS,
      });
    }
    let listener: Listener;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        listener = { filter, controller };
        this.#listeners.add(listener);
        controller.enqueue(this.#encoder.encode(KEEP_ALIVE));
      },
      cancel: () => this.#drop(listener),
    }, new CountQueuingStrategy({ highWaterMark: MAX_BEHIND }));
    this.#wind();
    return new Response(body, { headers: { "content-type": EVENT_STREAM_TYPE, "cache-control": "no-store" } });
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#subscription[Symbol.dispose]();
    for (const listener of this.#listeners) this.#end(listener);
  }

  #tell(change: PeerChange): void {
    if (this.#listeners.size === 0) return;
    const whose = change.type === "left" ? change.peer : change.entry;
    let bytes: Uint8Array | undefined;
    for (const listener of this.#listeners) {
      if (!matches(whose, listener.filter)) continue;
      bytes ??= this.#bytesOf(change);
      if (!bytes) return;
      this.#send(listener, bytes);
    }
  }

  #bytesOf(change: PeerChange): Uint8Array | undefined {
    if (change.type === "left") {
      const data = JSON.stringify({ peerId: change.peer.peerId });
      return this.#encoder.encode(formatStreamEvent({ event: change.type, data }));
    }
    const peer = this.#options.textOf(change.entry.peerId);
    return peer === undefined
      ? undefined
      : this.#encoder.encode(formatStreamEvent({ event: change.type, data: `{"peer":${peer}}` }));
  }

  #send(listener: Listener, bytes: Uint8Array): void {
    if ((listener.controller.desiredSize ?? 0) > 0) listener.controller.enqueue(bytes);
    else this.#end(listener);
  }

  #end(listener: Listener): void {
    this.#drop(listener);
    listener.controller.close();
  }

  #drop(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wind(): void {
    if (this.#timer || this.#listeners.size === 0) return;
    this.#timer = this.#options.clock.after(KEEP_ALIVE_MS, () => {
      this.#timer = undefined;
      const bytes = this.#encoder.encode(KEEP_ALIVE);
      for (const listener of this.#listeners) this.#send(listener, bytes);
      this.#wind();
    });
  }
}
