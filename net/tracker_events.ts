/**
 * Hears what changes at one tracker, by its stream of events, and connects anew whenever that ends.
 *
 * A tracker sends something at least every `KEEP_ALIVE_MS`: one that is silent for much longer is as good as gone.
 */

import { Backoff } from "../protocol/backoff.ts";
import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { EVENT_STREAM_TYPE, EventStreamReader, type StreamEvent } from "../protocol/event_stream.ts";
import type { Log } from "../protocol/log.ts";
import type { Random } from "../protocol/random.ts";
import { KEEP_ALIVE_MS, type PeerEvent, peerLeftSchema, peerThereSchema } from "../protocol/tracker/messages.ts";
import type { Fetch } from "./signed_http.ts";

export interface FollowTrackerOptions {
  /** With the filter. */
  readonly url: URL;
  /** Shown where there is one: some trackers ask for it. */
  token(): string | undefined;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  onEvent(event: PeerEvent): void;
  /** The stream has begun; what changed before was not heard. */
  onGap(): void;
}

const RETRY = { baseMs: 1000, maxMs: 60_000 };
const SILENCE_MS = 3 * KEEP_ALIVE_MS;

/** Follows until the signal is aborted. Never rejects. */
export async function followTracker(options: FollowTrackerOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, log, url } = options;
  const backoff = new Backoff(random, RETRY);
  while (!signal.aborted) {
    try {
      await followOnce(options, signal, () => backoff.reset());
    } catch (error) {
      if (!signal.aborted) log.debug("Events of a tracker have ended", { tracker: url.host, error: messageOf(error) });
    }
    await delay(clock, backoff.nextMs(), signal).catch(() => {});
  }
}

async function followOnce(options: FollowTrackerOptions, signal: AbortSignal, onBegun: () => void): Promise<void> {
  const { url, fetch, clock, onGap } = options;
  using silence = new Silence(clock, signal);
  const token = options.token();
  const response = await fetch(
    new Request(url, {
      headers: { accept: EVENT_STREAM_TYPE, ...token !== undefined && { authorization: `Bearer ${token}` } },
      redirect: "error",
      signal: silence.signal,
    }),
  );
  if (!response.ok || !response.body || !response.headers.get("content-type")?.startsWith(EVENT_STREAM_TYPE)) {
    await response.body?.cancel();
    throw new CulvertError("http_failed", `Cannot follow a tracker: it answered ${response.status}`);
  }
  onBegun();
  onGap();
  const reader = new EventStreamReader();
  // The signal is needed here as well: fetch heeds it no longer once its Response has been collected, whoever reads the body.
  const { signal: ends } = silence;
  for await (const text of response.body.pipeThrough(new TextDecoderStream(), { signal: ends })) {
    silence.heard();
    const events = reader.push(text);
    if (!events) throw new CulvertError("protocol", "Cannot follow a tracker: its events must be short");
    for (const event of events) {
      const read = eventOf(event);
      if (read && !signal.aborted) options.onEvent(read);
    }
  }
}

/** Undefined for what this version does not know. */
function eventOf({ event, data }: StreamEvent): PeerEvent | undefined {
  const json = parseJson(data);
  if (event === "left") {
    const left = peerLeftSchema.safeParse(json).data;
    return left && { type: "left", peerId: left.peerId };
  }
  const there = event === "joined" || event === "changed" ? peerThereSchema.safeParse(json).data : undefined;
  return there && { type: event as "joined" | "changed", peer: there.peer };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A signal that aborts with its parent, or when nothing was heard for too long. */
class Silence implements Disposable {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly signal: AbortSignal;
  #timer;

  constructor(clock: Clock, parent: AbortSignal) {
    this.#clock = clock;
    this.signal = AbortSignal.any([parent, this.#controller.signal]);
    this.#timer = this.#start();
  }

  heard(): void {
    this.#timer.cancel();
    this.#timer = this.#start();
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #start() {
    return this.#clock.after(SILENCE_MS, () => {
      this.#controller.abort(new CulvertError("timeout", `Nothing was heard for ${SILENCE_MS} ms`));
    });
  }
}
