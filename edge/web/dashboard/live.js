/**
 * What is known of the network, kept up to date by the server's events for as long as somebody looks.
 *
 *   connecting ─▶ live ─▶ away (the server does not answer; tried again, later each time) ─▶ live …
 *                   └─ hidden tabs watch nothing, and connect at once when they are shown again
 *
 * Tells `view`, `points`, `log` and `state` when the like-named fields are others. What was known stays when it is away.
 */

import { HISTORY_POINTS, LOG_LINES } from "./bounds.js";
import { EventReader } from "./event_stream.js";
import { ApiError } from "../lib/http.js";

/** @import { LogLine, NetworkView, Point } from "../../dashboard/api.ts" */
/** @import { Client } from "./client.js" */

/** @typedef {"connecting" | "live" | "away"} LiveState */

/** The server gives a sign of life more often than that. */
const SILENCE_MS = 35_000;
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8_000;

export class Live extends EventTarget {
  /** @type {NetworkView | undefined} */
  view;
  /** @type {readonly Point[]} */
  points = [];
  /** The newest last. @type {readonly LogLine[]} */
  lines = [];
  /** @type {LiveState} */
  state = "connecting";
  /** Until when the view is known to have been so. @type {number | undefined} */
  heardAtMs;
  /** Why it is away, or why what is shown may be old. @type {string | undefined} */
  trouble;
  #client;
  #signal;

  /**
   * @param {Client} client
   * @param {AbortSignal} signal
   */
  constructor(client, signal) {
    super();
    this.#client = client;
    this.#signal = signal;
    void this.#run();
  }

  async #run() {
    for (let failures = 0; !this.#signal.aborted;) {
      await shown(this.#signal);
      const before = this.heardAtMs;
      const waitMs = await this.#follow();
      if (this.#signal.aborted) return;
      failures = this.heardAtMs === before ? failures + 1 : 0;
      if (document.visibilityState === "visible") await pause(Math.max(waitMs, backOff(failures)), this.#signal);
    }
  }

  /** Until it ends; how long to stay away at least. */
  async #follow() {
    const leaving = new AbortController();
    const signal = AbortSignal.any([this.#signal, leaving.signal]);
    const hide = () => document.visibilityState === "hidden" && leaving.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      await this.#read(await this.#client.watch(signal), () => leaving.abort());
      this.#away("");
    } catch (error) {
      if (!this.#signal.aborted && document.visibilityState === "visible") this.#away(reasonOf(error));
      if (error instanceof ApiError) return error.retryAfterMs ?? 0;
    } finally {
      document.removeEventListener("visibilitychange", hide);
      leaving.abort();
    }
    return 0;
  }

  /**
   * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
   * @param {() => void} giveUp
   */
  async #read(body, giveUp) {
    const reader = body.getReader();
    const events = new EventReader();
    for (;;) {
      const timer = setTimeout(giveUp, SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      // Nothing new is told while nothing changes: any sign of life says that what is shown is of now.
      if (this.state === "live" && this.trouble === undefined) this.heardAtMs = Date.now();
      for (const { name, data } of events.push(value)) {
        if (name === "bye") return;
        this.#take(name, JSON.parse(data));
      }
    }
  }

  /**
   * @param {string} name
   * @param {any} event
   */
  #take(name, event) {
    switch (name) {
      case "view":
        this.view = event.view;
        this.heardAtMs = Date.now();
        this.#setState("live", undefined);
        return this.#tell("view");
      case "history":
        this.points = event.points;
        return this.#tell("points");
      case "point":
        // A view that is as it was is not told again.
        this.heardAtMs = Date.now();
        this.points = [...this.points, event.point].slice(-HISTORY_POINTS);
        return this.#tell("points");
      case "log":
        this.lines = withNewer(this.lines, event.lines);
        return this.#tell("log");
      case "trouble":
        return this.#setState("live", event.text);
    }
  }

  /** @param {string} trouble */
  #away(trouble) {
    this.#setState("away", trouble);
  }

  /**
   * @param {LiveState} state
   * @param {string | undefined} trouble
   */
  #setState(state, trouble) {
    if (this.state === state && this.trouble === trouble) return;
    this.state = state;
    this.trouble = trouble;
    this.#tell("state");
  }

  /** @param {string} what */
  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

/**
 * After coming back the server tells all it has, of which some is known. One that was started anew counts from the beginning.
 * @param {readonly LogLine[]} known
 * @param {readonly LogLine[]} told
 */
export function withNewer(known, told) {
  const first = told[0];
  const again = new Set(told.map(({ id, atMs }) => `${id} ${atMs}`));
  const older = known.filter(({ id, atMs }) =>
    first === undefined || (!again.has(`${id} ${atMs}`) && (id < first.id || atMs < first.atMs))
  );
  return [...older, ...told].slice(-LOG_LINES);
}

/**
 * Longer each time, and by chance, so that not all who watch come back in the same moment.
 * @param {number} failures
 */
function backOff(failures) {
  return Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2);
}

/** @param {unknown} error */
function reasonOf(error) {
  return error instanceof ApiError && error.status > 0 ? error.message : "";
}

/** @param {AbortSignal} signal */
function shown(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState === "hidden" && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve(undefined);
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
    look();
  });
}

/**
 * Ends earlier when there is reason to think that it would work now.
 * @param {number} waitMs
 * @param {AbortSignal} signal
 */
function pause(waitMs, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      over.abort();
      clearTimeout(timer);
      resolve(undefined);
    };
    const timer = setTimeout(end, waitMs);
    document.addEventListener("visibilitychange", end, { signal: over.signal });
    addEventListener("online", end, { signal: over.signal });
    signal.addEventListener("abort", end, { signal: over.signal });
  });
}
