/**
 * What happens at a peer server, as server-sent events (HTML Living Standard §9.2) to whoever listens.
 *
 *   emit(name, data) ─▶ every listener that may know ─▶ `event: name ⏎ data: {…}`        and a comment now and then
 *
 * Nothing is kept for those who are away: an event says that it is worth asking again, not what the answer is. A listener that
 * takes nothing is dropped once a little has gathered, and asks again by itself, as browsers do.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { problem } from "./problem.ts";

/** Guests are told of changes alone. */
export type Audience = "owner" | "everybody";

const MAX_LISTENERS = 128;
const MAX_LISTENERS_OF_GUEST = 8;
const MAX_WAITING_EVENTS = 256;
/** Shorter than any patience of a proxy between. */
const COMMENT_EVERY_MS = 15_000;

interface Listener {
  /** Undefined for the owner. */
  readonly guestId: string | undefined;
  readonly controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
}

export class ServerEvents implements Disposable {
  readonly #clock: Clock;
  readonly #listeners = new Set<Listener>();
  readonly #encoder = new TextEncoder();
  #timer: Timer | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  emit(name: string, data: unknown, audience: Audience = "owner"): void {
    const text = this.#encoder.encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    for (const listener of [...this.#listeners]) {
      if (audience === "everybody" || listener.guestId === undefined) this.#send(listener, text);
    }
  }

  /** An answer that goes on until whoever asked has gone. */
  listen(guestId?: string): Response {
    const ofGuest = [...this.#listeners].filter((listener) => listener.guestId === guestId).length;
    if (
      this.#closed || this.#listeners.size >= MAX_LISTENERS ||
      guestId !== undefined && ofGuest >= MAX_LISTENERS_OF_GUEST
    ) {
      return problem("busy", "Cannot tell what happens: too many listen already", { retryAfterMs: 10_000 });
    }
    let listener: Listener;
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        listener = { guestId, controller };
        this.#listeners.add(listener);
        controller.enqueue(this.#encoder.encode("retry: 2000\n\n"));
      },
      cancel: () => this.#drop(listener),
    }, { highWaterMark: MAX_WAITING_EVENTS });
    this.#timer ??= this.#clock.after(COMMENT_EVERY_MS, () => this.#comment());
    return new Response(stream, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
      },
    });
  }

  /** Ends every answer. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const listener of [...this.#listeners]) this.#end(listener);
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #comment(): void {
    this.#timer = undefined;
    const text = this.#encoder.encode(":\n\n");
    for (const listener of [...this.#listeners]) this.#send(listener, text);
    if (this.#listeners.size > 0) this.#timer = this.#clock.after(COMMENT_EVERY_MS, () => this.#comment());
  }

  #send(listener: Listener, text: Uint8Array<ArrayBuffer>): void {
    if ((listener.controller.desiredSize ?? 0) > 0) listener.controller.enqueue(text);
    else this.#end(listener);
  }

  #end(listener: Listener): void {
    if (!this.#listeners.has(listener)) return;
    this.#drop(listener);
    listener.controller.close();
  }

  #drop(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
