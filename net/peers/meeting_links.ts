/**
 * The links of a peer to relays where peers meet: those that are kept, so that others can be brought to it, and those made
 * because somebody is to be reached there, which go again when nobody has been for a while.
 *
 *   keep(place)  a link that is made again whenever it is lost; `onStream` is given the streams the relay brings
 *   open(place)  a stream, on a kept link or on one that is made now
 *
 * Cards of strangers name relays, so there are only so many links at once.
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { MeetingPlace } from "../../protocol/peers/card.ts";
import { GUEST_PATH, HOST_PATH, MEETING_ROLE } from "../../protocol/peers/meeting.ts";
import { BufferPool } from "../buffer_pool.ts";
import { dialRelayLink } from "../circuit/dial_link.ts";
import type { Link } from "../link.ts";
import { LinkKeeper } from "../link_keeper.ts";
import { MuxConnection, type MuxStream } from "../mux.ts";
import type { Locate } from "../websocket_dial.ts";
import { GUEST_MUX, LINK_BUFFER_BYTES, type PeerParts } from "./peer_parts.ts";

export interface MeetingLinksOptions extends PeerParts {
  /** Ours, for relays of a closed network. */
  certificate?(): string | undefined;
  /** PEM certificates of relays to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Where the hosts of relays are. Default: where the system finds them. */
  readonly locate?: Locate | undefined;
  /** A link that is not kept and that nobody uses. Default 60 s. */
  readonly idleLinkMs?: number;
}

/** A link that is made again whenever it is lost. Disposing lets it go. */
export interface KeptLink extends Disposable {
  readonly place: MeetingPlace;
  readonly isUp: boolean;
}

/** Links that are not kept, at once. */
const MAX_PASSING = 32;
const DIAL_TIMEOUT_MS = 10_000;

interface PassingLink {
  readonly connection: Promise<MuxConnection>;
  /** Once it is up. */
  up?: MuxConnection;
  usedAtMs: number;
}

export class MeetingLinks implements AsyncDisposable {
  /** Is given the streams that relays bring. Unset, they are turned away. */
  onStream: (stream: MuxStream, place: MeetingPlace) => void = (stream) => stream.abort();
  readonly #options: MeetingLinksOptions;
  readonly #clock: Clock;
  readonly #pool = new BufferPool({ bufferBytes: LINK_BUFFER_BYTES });
  readonly #kept = new Map<string, { readonly keeper: LinkKeeper; holders: number }>();
  readonly #passing = new Map<string, PassingLink>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #sweeper: Timer | undefined;

  constructor(options: MeetingLinksOptions) {
    this.#options = options;
    this.#clock = options.clock;
  }

  /** Keeps a link there, so that we can be reached by it. */
  keep(place: MeetingPlace): KeptLink {
    const key = keyOf(place);
    const kept = this.#kept.get(key) ?? { keeper: this.#keeperOf(place), holders: 0 };
    this.#kept.set(key, kept);
    kept.holders++;
    let isHeld = true;
    return {
      place,
      get isUp() {
        return kept.keeper.connection?.closed === false;
      },
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        if (--kept.holders > 0) return;
        this.#kept.delete(key);
        kept.keeper.close();
      },
    };
  }

  /** Opens a stream to the relay, nothing said on it yet. Rejects with a DialError. */
  async open(place: MeetingPlace, signal: AbortSignal): Promise<MuxStream> {
    try {
      const connection = await orAborted(this.#connectionTo(place), signal);
      return connection.open();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DialError) throw error;
      throw new DialError("path_down", `There is no link to the relay: ${messageOf(error)}`, { cause: error });
    }
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The links to relays are closed"));
    this.#sweeper?.cancel();
    for (const { keeper } of this.#kept.values()) keeper.close();
    for (const { up } of this.#passing.values()) up?.close();
  }

  /** Settles when nothing of them runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed();
  }

  #keeperOf(place: MeetingPlace): LinkKeeper {
    const keeper = new LinkKeeper({
      ...this.#options,
      connect: (signal) => this.#dial(place, HOST_PATH, signal),
      ...{ farEnd: place.url, farKind: "relay" },
      mux: GUEST_MUX,
      onStream: (stream) => this.onStream(stream, place),
    });
    this.#spawn(keeper.done);
    return keeper;
  }

  #connectionTo(place: MeetingPlace): Promise<MuxConnection> {
    if (this.#stop.signal.aborted) return Promise.reject(this.#stop.signal.reason);
    const key = keyOf(place);
    const keeper = this.#kept.get(key)?.keeper;
    if (keeper) return keeper.connection?.closed === false ? Promise.resolve(keeper.connection) : keeper.attempt();
    const passing = this.#passing.get(key);
    if (passing && !passing.up?.closed) {
      passing.usedAtMs = this.#clock.now();
      return passing.connection;
    }
    if (this.#passing.size >= MAX_PASSING) {
      return Promise.reject(new DialError("busy", "There are links to as many relays as there may be"));
    }
    return this.#pass(key, place);
  }

  #pass(key: string, place: MeetingPlace): Promise<MuxConnection> {
    const link: PassingLink = { connection: this.#connect(place), usedAtMs: this.#clock.now() };
    this.#passing.set(key, link);
    this.#sweepLater();
    const live = link.connection.then(async (connection) => {
      link.up = connection;
      await connection.ended;
    }).catch(() => {}); // whoever waits for it hears why
    this.#spawn(live.then(() => {
      if (this.#passing.get(key) === link) this.#passing.delete(key);
    }));
    return link.connection;
  }

  async #connect(place: MeetingPlace): Promise<MuxConnection> {
    using limit = deadline(this.#clock, DIAL_TIMEOUT_MS, `reach ${place.url}`, this.#stop.signal);
    const link = await this.#dial(place, GUEST_PATH, limit.signal);
    if (limit.signal.aborted) {
      link.close();
      throw limit.signal.reason;
    }
    const connection = new MuxConnection(link, this.#clock, { ...GUEST_MUX, role: "client" });
    connection.start();
    return connection;
  }

  #dial(place: MeetingPlace, path: string, signal: AbortSignal): Promise<Link> {
    const { identity: signer, certificate, clock, random, primitives, caCerts, locate } = this.#options;
    return dialRelayLink(place, {
      ...{ signer, role: MEETING_ROLE, path, certificate: certificate?.(), clock, random, primitives, caCerts, locate },
      pool: this.#pool,
    }, signal);
  }

  #sweepLater(): void {
    const { idleLinkMs = 60_000 } = this.#options;
    this.#sweeper ??= this.#clock.after(idleLinkMs / 2, () => {
      this.#sweeper = undefined;
      const nowMs = this.#clock.now();
      for (const link of this.#passing.values()) {
        if (link.up && link.up.streamCount > 0) link.usedAtMs = nowMs;
        if (nowMs - link.usedAtMs >= idleLinkMs) link.up?.close();
      }
      if (this.#passing.size > 0 && !this.#stop.signal.aborted) this.#sweepLater();
    });
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

function keyOf({ relayId, url }: MeetingPlace): string {
  return `${relayId} ${url}`;
}
