/**
 * A peer's data link: the one connection to its supernode on which all its relayed streams lie.
 *
 *   token (good once) → WebSocket /relay → mux: a client opens streams on it, an exit is given them
 *
 * It is kept up: lost, it is made again with a new token after a while, or at once when a stream is wanted. When the peer
 * moves to another supernode a new one is made there, and this one is let go of once its last stream has ended.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import type { SupernodeAddress } from "../protocol/control/commands.ts";
import { RELAY_PATH, supernodeEndpoint } from "../protocol/control/endpoints.ts";
import { orAborted } from "../protocol/abort.ts";
import { DialError, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { Random } from "../protocol/random.ts";
import type { BufferPool } from "./buffer_pool.ts";
import { CountedLink, type Traffic } from "./counted_link.ts";
import type { Link } from "./link.ts";
import { LinkKeeper, type LinkKeeperOptions } from "./link_keeper.ts";
import type { MuxConnection, MuxStream } from "./mux.ts";
import { WebsocketLink } from "./websocket.ts";
import { dialWebsocket, type Locate } from "./websocket_dial.ts";

export interface DataLinkOptions {
  readonly supernode: SupernodeAddress;
  /** A token that has not been used. */
  token(signal: AbortSignal): Promise<string>;
  /** Is given the streams that the supernode opens, nothing read from them yet. */
  onStream?(stream: MuxStream): void;
  /** Is added to. */
  readonly traffic: Traffic;
  /** It was there, and is no more. */
  onLost?(): void;
  readonly pool: BufferPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly caCerts?: readonly string[] | undefined;
  /** Where the supernode's host is. Default: where the system finds it. */
  readonly locate?: Locate | undefined;
  readonly mux?: NonNullable<LinkKeeperOptions["mux"]>;
}

/** How often a link that is to be let go of is looked at. */
const RETIRE_LOOK_MS = 250;

export class DataLink implements Disposable {
  readonly supernode: SupernodeAddress;
  readonly #clock: Clock;
  readonly #keeper: LinkKeeper;
  #retiring: Timer | undefined;

  /** Begins to connect. */
  constructor(options: DataLinkOptions) {
    const { supernode, clock, onStream, onLost } = options;
    this.supernode = supernode;
    this.#clock = clock;
    this.#keeper = new LinkKeeper({
      ...options,
      connect: (signal) => connect(options, signal),
      farEnd: supernode.url,
      ...(onStream && { onStream }),
      ...(onLost && { onLost }),
    });
  }

  get isUp(): boolean {
    return this.#connection !== undefined;
  }

  /** The round trip to the supernode, when it is known. */
  get rttMs(): number | undefined {
    return this.#connection?.rttMs;
  }

  /** Settles when it is up; rejects when an attempt to make it has failed. */
  async up(signal: AbortSignal): Promise<void> {
    if (!this.isUp) await orAborted(this.#keeper.attempt(), signal);
  }

  /** Opens a stream, nothing said on it yet. */
  async open(signal: AbortSignal): Promise<MuxStream> {
    try {
      const connection = this.#connection ?? await orAborted(this.#keeper.attempt(), signal);
      return connection.open();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DialError) throw error;
      throw new DialError("path_down", `There is no link to the supernode: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Closes it when its last stream has ended, or when that takes longer than allowed. */
  retire(withinMs: number): void {
    const closeAtMs = this.#clock.now() + withinMs;
    const look = () => {
      if (!this.#connection?.streamCount || this.#clock.now() >= closeAtMs) return this.close();
      this.#retiring = this.#clock.after(RETIRE_LOOK_MS, look);
    };
    look();
  }

  close(): void {
    this.#retiring?.cancel();
    this.#keeper.close();
  }

  /** Settles when nothing of it is left. Call `close` or `retire` first. */
  get closed(): Promise<void> {
    return this.#keeper.done;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #connection(): MuxConnection | undefined {
    const { connection } = this.#keeper;
    return connection && !connection.closed ? connection : undefined;
  }
}

async function connect(options: DataLinkOptions, signal: AbortSignal): Promise<Link> {
  const { supernode, random, caCerts, locate, pool, traffic } = options;
  const address = supernodeEndpoint(supernode.url, RELAY_PATH);
  const headers = { Authorization: `Bearer ${await options.token(signal)}` };
  const { stream, first } = await dialWebsocket(address, { headers, random, caCerts, locate, signal });
  return new CountedLink(new WebsocketLink(stream, pool, { first, random }), traffic);
}
