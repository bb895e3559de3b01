/**
 * Other peers' file servers under our own address, so that one page can show them all:
 *
 *   /peers/ID/api/files/…, /peers/ID/content/…, /peers/ID/download/… ─▶ a bridge to that peer ─▶ its file server
 *
 * What comes back is a stranger's: it is passed on with the few headers that files need, as data of the type it claims, and no
 * browser runs it as a page of ours. Bridges are made when they are wanted and go when nobody has used them for a while.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { problem, wrongMethod } from "../files/problem.ts";
import { type KnownPeer, PeerBridge } from "./bridge.ts";
import type { PeerNetwork } from "./peer_connection.ts";

export interface PeerGatewayOptions {
  readonly network: PeerNetwork;
  /** Undefined when nobody knows a peer of that id. */
  find(peerId: string): Promise<KnownPeer | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Bridges at once; beyond that the one that was used longest ago goes. Default 32. */
  readonly maxBridges?: number;
  /** Of a bridge that nobody uses. Default 10 min. */
  readonly idleTimeoutMs?: number;
}

interface Held {
  readonly bridge: PeerBridge;
  readonly client: Deno.HttpClient;
}

const MAX_BRIDGES = 32;
const IDLE_TIMEOUT_MS = 600_000;
/** Of an answer to what has no body of its own; an upload is answered when all of it has come. */
const HEAD_WITHIN_MS = 30_000;
/** What of another peer's server is passed on. */
const SERVED =
  /^\/(?:(?:content|download|upload)\/.|api\/(?:self$|files(?:$|\/)|search$|markdown\/|pieces\/|by-root\/))/;
const ASKED = ["accept", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"];
const ANSWERED = [
  ...["accept-ranges", "allow", "content-disposition", "content-length", "content-range", "content-type", "etag"],
  ...["last-modified", "retry-after", "vary"],
];
const SAFE = {
  "cache-control": "no-cache",
  "content-security-policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export class PeerGateway implements AsyncDisposable {
  readonly #options: PeerGatewayOptions;
  /** By peer, the one used last at the end. */
  readonly #held = new Map<string, Held>();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: PeerGatewayOptions) {
    this.#options = options;
  }

  /** A URL on this machine behind which is that peer's own server; undefined when nobody knows the peer. */
  async open(peerId: string): Promise<string | undefined> {
    return (await this.#bridgeTo(peerId))?.bridge.url;
  }

  /** Asks that peer's server; `rest` begins with a slash, and has the query. */
  async ask(peerId: string, rest: string, request: Request): Promise<Response> {
    const { method, body } = request;
    if (!SERVED.test(rest.split("?", 1)[0]!)) {
      return problem("not_found", "Cannot answer: this is not asked of other peers");
    }
    if (method !== "GET" && method !== "HEAD" && !(method === "PUT" && rest.startsWith("/upload/"))) {
      return wrongMethod("GET", "HEAD");
    }
    const held = await this.#bridgeTo(peerId);
    if (!held) return problem("not_found", "Cannot find the peer: no tracker knows it, and it was not met before");
    const headers = headersOf(request.headers, ASKED);
    headers.set("accept-encoding", "identity"); // or fetch would unpack it and its length be wrong
    // The browser's own signal is not passed on: it also aborts once we have answered.
    using limit = deadline(this.#options.clock, HEAD_WITHIN_MS, "ask the peer");
    try {
      const url = new URL(rest, held.bridge.url);
      const init = {
        method,
        headers,
        redirect: "manual",
        client: held.client,
        ...body ? { body } : { signal: limit.signal },
      } as const;
      const answer = await fetch(url, init);
      const passedOn = headersOf(answer.headers, ANSWERED);
      for (const [name, value] of Object.entries(SAFE)) passedOn.set(name, value);
      return new Response(answer.body, { status: answer.status, headers: passedOn });
    } catch (error) {
      this.#options.log.debug("A peer did not answer", { error: messageOf(error) });
      return problem("unreachable", "Cannot reach the peer, or its answer was cut short");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const peerId of [...this.#held.keys()]) this.#letGo(peerId);
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }

  async #bridgeTo(peerId: string): Promise<Held | undefined> {
    const known = this.#held.get(peerId);
    if (known) {
      this.#held.delete(peerId);
      this.#held.set(peerId, known);
      return known;
    }
    const { network, clock, random, log, find, maxBridges = MAX_BRIDGES, idleTimeoutMs = IDLE_TIMEOUT_MS } =
      this.#options;
    const peer = await find.call(this.#options, peerId);
    if (!peer || this.#isClosed) return undefined;
    const meanwhile = this.#held.get(peerId);
    if (meanwhile) return meanwhile;
    if (this.#held.size >= maxBridges) this.#letGo(this.#held.keys().next().value!);
    const renew = () => find.call(this.#options, peerId);
    const bridge = new PeerBridge({ ...peer, renew, network, clock, random, log, idleTimeoutMs });
    const held = { bridge, client: Deno.createHttpClient({ poolIdleTimeout: 5_000 }) };
    this.#held.set(peerId, held);
    void bridge.ended.then(() => {
      if (this.#held.get(peerId) === held) this.#letGo(peerId);
    });
    return held;
  }

  #letGo(peerId: string): void {
    const { bridge, client } = this.#held.get(peerId)!;
    this.#held.delete(peerId);
    client.close();
    const closing = bridge[Symbol.asyncDispose]().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

function headersOf(from: Headers, names: readonly string[]): Headers {
  const headers = new Headers();
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) headers.set(name, value);
  }
  return headers;
}
