/**
 * A Path in fragments: sessions with centrals, each over several upstreams and downstreams, and the streams on them.
 *
 *   dial → a session with few streams → mux → FragmentLink → legs → upstreams → central → its way out
 *
 * A stream does not move to another session: where a session is lost its streams fail, and a dial that was lost with it
 * is made again by another, since nothing of the stream had been sent.
 */

import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Datagrams, DialOptions, Hop, Path, Stream, Target } from "../../protocol/stream.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { openSealCrypto } from "../seal_crypto.ts";
import { TunnelPath } from "../tunnel_path.ts";
import type { Link } from "../link.ts";
import type { ClientSession } from "./client_session.ts";
import type { FragmentLink } from "./fragment_link.ts";
import { SessionOpener, type SessionOpenerOptions } from "./session_opener.ts";

export interface FragmentPathOptions extends Omit<SessionOpenerOptions, "crypto"> {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Sessions kept open. Default 2. */
  readonly sessions?: number;
  /** Default: the fastest this host has. */
  readonly crypto?: WireGuardCrypto;
  /** Freed with the path. */
  readonly owned?: AsyncDisposable;
}

const CONNECT_MS = 12_000;
const DEFAULT_SESSIONS = 2;

/** A Path in fragments, over several sessions with centrals. */
export class FragmentPath implements Path {
  readonly #options: FragmentPathOptions;
  readonly #tunnel: TunnelPath;
  readonly #stop = new AbortController();
  readonly #opener: Promise<SessionOpener>;
  /** For the trail, by what carries a stream. */
  readonly #sessions = new WeakMap<Link, ClientSession>();
  #ownCrypto: (WireGuardCrypto & Disposable) | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Made by `openFragments`.
   *
   * @internal
   */
  constructor(options: FragmentPathOptions) {
    this.#options = options;
    const { clock, random } = options.tools;
    this.#opener = this.#prepare();
    this.#opener.catch(() => {}); // whoever dials hears of it
    this.#tunnel = new TunnelPath({
      ...options,
      clock,
      random,
      links: options.sessions ?? DEFAULT_SESSIONS,
      farEnd: "the centrals",
      connectTimeoutMs: CONNECT_MS,
      hop: (rttMs, link) => this.#hop(rttMs, link),
      connect: (signal) => this.#connect(signal),
    });
  }

  /** Sessions that are up. */
  get sessionCount(): number {
    return this.#tunnel.linkCount;
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#tunnel.streamCount;
  }

  dial(target: Target, options?: DialOptions): Promise<Stream> {
    return this.#again(() => this.#tunnel.dial(target, options), options);
  }

  datagrams(options?: DialOptions): Promise<Datagrams> {
    return this.#again(() => this.#tunnel.datagrams(options), options);
  }

  /** Opens a stream on which the central makes an HTTP request; see `createFragmentFetch`. */
  request(options?: DialOptions): Promise<Stream> {
    return this.#again(() => this.#tunnel.request(options), options);
  }

  close(): void {
    if (this.#closed) return;
    this.#stop.abort(new DialError("path_down", "The path is closed"));
    this.#tunnel.close();
    this.#closed = this.#clear();
  }

  /** Settles when nothing of it is left. Call `close` first. */
  async closed(): Promise<void> {
    await this.#closed;
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Again when the session was lost while it dialled: the others may be lost as well, without having noticed yet. */
  async #again<T>(dial: () => Promise<T>, options: DialOptions = {}): Promise<T> {
    for (let left = this.#options.sessions ?? DEFAULT_SESSIONS;; left--) {
      try {
        return await dial();
      } catch (error) {
        if (left === 0 || !isSessionLost(error) || options.signal?.aborted || this.#closed) throw error;
      }
    }
  }

  #hop(rttMs: number | undefined, link: Link): Hop {
    const legs = this.#sessions.get(link)?.legs;
    return {
      name: "fragments client",
      at: legs ? `up ${namesOf(legs.up)}; down ${namesOf(legs.down)}` : "",
      seal: "Noise IK to the central, in fragments",
      ...(rttMs !== undefined && { rttMs }),
    };
  }

  async #connect(signal: AbortSignal): Promise<FragmentLink> {
    const opener = await this.#opener;
    const session = await opener.open(signal);
    this.#sessions.set(session.link, session);
    return session.link;
  }

  async #prepare(): Promise<SessionOpener> {
    const crypto = this.#options.crypto ?? (this.#ownCrypto = await openSealCrypto());
    return new SessionOpener({ ...this.#options, crypto });
  }

  async #clear(): Promise<void> {
    await this.#tunnel.closed();
    const opener = await this.#opener.catch(() => undefined);
    opener?.[Symbol.dispose]();
    await opener?.closed();
    this.#ownCrypto?.[Symbol.dispose]();
    await this.#options.owned?.[Symbol.asyncDispose]();
  }
}

/** Not that there is none, or that the central's own way is down: that of a dial which another session may do better. */
function isSessionLost(error: unknown): boolean {
  return error instanceof DialError && error.code === "path_down" && error.cause instanceof CulvertError &&
    (error.cause.code === "link_lost" || error.cause.code === "closed");
}

/** The relays of legs, as people tell them apart. */
function namesOf(legs: ReadonlyMap<number, { readonly relay: { readonly relayId: string } }>): string {
  return [...legs.values()].map(({ relay }) => relay.relayId.slice(0, 8)).join(", ");
}
