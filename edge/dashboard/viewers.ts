/**
 * Those who watch, each with a stream of server-sent events (`protocol/event_stream.ts`).
 *
 *   event ─▶ text, made once ─▶ every viewer ─┬─ keeps up: as it comes
 *                                             ├─ is behind: waits, so many events
 *                                             └─ is further behind: nothing of that, but all there is now, once it reads again
 *
 * There are at most so many. One that has read nothing for a minute is cut off, and one whose session is over is let go; a comment
 * now and then finds out who is gone.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { EVENT_STREAM_TYPE, formatStreamEvent, KEEP_ALIVE, type StreamEvent } from "../../protocol/event_stream.ts";
import { Problem } from "../problem.ts";
import { streamEventOf } from "./stream_events.ts";

export const MAX_VIEWERS = 32;
export const KEEP_ALIVE_MS = 15_000;

/** Events that one may be behind. */
const MAX_BEHIND = 8;
const STUCK_AFTER_MS = 60_000;
const BUSY_RETRY_MS = 30_000;

export interface ViewersOptions {
  readonly clock: Clock;
  /** All that somebody must be told who knows nothing yet. */
  state(): readonly StreamEvent[];
  /** How many there are now. */
  onChange(count: number): void;
}

/** What somebody watches with. */
export interface WatchingSession {
  readonly session: string;
  readonly expiresAtMs: number;
}

interface Viewer {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  readonly session: WatchingSession;
  readonly waiting: Uint8Array[];
  /** It has missed something, and is told all there is instead of what comes. */
  isBehind: boolean;
  /** When it last read something. */
  readAtMs: number;
}

export class Viewers implements Disposable {
  readonly #options: ViewersOptions;
  readonly #viewers = new Set<Viewer>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: ViewersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#viewers.size;
  }

  /** A stream that ends with the session, or the problem that there are too many. */
  open(session: WatchingSession): Response | Problem {
    if (this.#isClosed || this.#viewers.size >= MAX_VIEWERS) {
      return new Problem("busy", `Cannot show more: ${MAX_VIEWERS} watch already; close a page, or try again`, {
        retryAfterMs: BUSY_RETRY_MS,
      });
    }
    let viewer: Viewer;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const readAtMs = this.#options.clock.now();
        viewer = { controller, session, waiting: [], isBehind: true, readAtMs };
        this.#viewers.add(viewer);
        controller.enqueue(new TextEncoder().encode(KEEP_ALIVE));
      },
      pull: () => this.#feed(viewer),
      cancel: () => this.#drop(viewer),
    }, new CountQueuingStrategy({ highWaterMark: 1 }));
    this.#options.onChange(this.#viewers.size);
    this.#wind();
    return new Response(body, { headers: { "content-type": EVENT_STREAM_TYPE, "cache-control": "no-store" } });
  }

  tell(event: StreamEvent): void {
    if (this.#viewers.size > 0) this.#tell(bytesOf(event));
  }

  /** Says `bye` and ends all streams. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    const bye = bytesOf(streamEventOf({ type: "bye" }));
    for (const viewer of this.#viewers) {
      viewer.controller.enqueue(bye);
      this.#end(viewer);
    }
  }

  /** Ends the streams of that session. */
  end(session: string): void {
    for (const viewer of this.#viewers) if (viewer.session.session === session) this.#end(viewer);
  }

  #tell(bytes: Uint8Array): void {
    for (const viewer of this.#viewers) {
      if (viewer.waiting.length >= MAX_BEHIND) {
        viewer.isBehind = true;
        viewer.waiting.length = 0;
      }
      if (!viewer.isBehind) viewer.waiting.push(bytes);
      if ((viewer.controller.desiredSize ?? 0) > 0) this.#feed(viewer);
    }
  }

  /** It has room: it is given what waits for it. */
  #feed(viewer: Viewer): void {
    viewer.readAtMs = this.#options.clock.now();
    const bytes = viewer.isBehind ? bytesOf(...this.#options.state()) : viewer.waiting.shift();
    if (!bytes || bytes.length === 0) return;
    viewer.isBehind = false;
    viewer.controller.enqueue(bytes);
  }

  #end(viewer: Viewer): void {
    this.#drop(viewer);
    viewer.controller.close();
  }

  /** Without waiting until what it was given is read, which would be for good. */
  #cut(viewer: Viewer): void {
    this.#drop(viewer);
    viewer.controller.error(new Error("It has read nothing for too long"));
  }

  #drop(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    this.#options.onChange(this.#viewers.size);
    if (this.#viewers.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wind(): void {
    if (this.#timer || this.#viewers.size === 0) return;
    this.#timer = this.#options.clock.after(KEEP_ALIVE_MS, () => {
      this.#timer = undefined;
      this.#letGo();
      this.#tell(new TextEncoder().encode(KEEP_ALIVE));
      this.#wind();
    });
  }

  #letGo(): void {
    const { clock } = this.#options;
    for (const viewer of this.#viewers) {
      const isStuck = (viewer.isBehind || viewer.waiting.length > 0) && clock.now() - viewer.readAtMs > STUCK_AFTER_MS;
      if (isStuck) this.#cut(viewer);
      else if (clock.wallNow() >= viewer.session.expiresAtMs) this.#end(viewer);
    }
  }
}

function bytesOf(...events: readonly StreamEvent[]): Uint8Array {
  return new TextEncoder().encode(events.map(formatStreamEvent).join(""));
}
