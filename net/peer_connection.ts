/**
 * A peer's whole connection to the network: the control stream, and the data link that follows it from supernode to
 * supernode.
 *
 *   control stream open at A ──→ data link to A
 *   moved to B               ──→ data link to B; that to A goes when its last stream has ended
 *   A has another address    ──→ the same
 *
 * A control stream that is lost and comes back to the same supernode leaves the data link alone: either can be lost
 * without the other.
 */

import type { AuthAccepted } from "../protocol/control/messages.ts";
import type { SupernodeAddress } from "../protocol/control/commands.ts";
import { delay } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import { BufferPool } from "./buffer_pool.ts";
import { type ControlOptions, ControlStream } from "./control.ts";
import type { Traffic } from "./counted_link.ts";
import { DataLink } from "./data_link.ts";
import type { MuxStream } from "./mux.ts";

export interface PeerConnectionOptions extends ControlOptions {
  /** Is given the streams that the supernode opens, nothing read from them yet. */
  onStream?(stream: MuxStream): void;
  /** How long streams on the data link to a supernode that was left may go on. Default 60 s. */
  readonly retireWithinMs?: number;
}

/** A token is good for a minute at the supernode; one that has lain about for longer than this is not tried. */
const TOKEN_FRESH_MS = 45_000;
const UP_AGAIN_MS = 100;

export class PeerConnection implements Disposable {
  readonly control: ControlStream;
  /** Bytes over the data links. */
  readonly traffic: Traffic = { rxBytes: 0, txBytes: 0 };
  readonly #options: PeerConnectionOptions;
  readonly #pool = new BufferPool({ bufferBytes: 256 * 1024 });
  #link: DataLink | undefined;
  readonly #links = new Set<DataLink>();
  #token: { readonly text: string; readonly supernodeId: string; readonly atMs: number } | undefined;
  #closed = false;
  #losses = 0;

  /** Begins to connect. */
  constructor(options: PeerConnectionOptions) {
    this.#options = options;
    this.control = new ControlStream({
      ...options,
      onOpen: (supernode, answer) => {
        this.#follow(supernode, answer);
        options.onOpen?.(supernode, answer);
      },
    });
  }

  /** Whether relayed streams can be opened at present. */
  get isUp(): boolean {
    return this.#link?.isUp ?? false;
  }

  /** How often the data link was lost or left. */
  get losses(): number {
    return this.#losses;
  }

  /** Settles when relayed streams can be opened. Tries sooner than it would by itself. */
  async up(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!this.isUp) {
      signal.throwIfAborted();
      if (this.#closed) throw new DialError("path_down", "The connection is closed");
      try {
        if (this.#link) await this.#link.up(signal);
        else await this.control.opened(signal);
      } catch {
        await delay(clock, UP_AGAIN_MS, signal);
      }
    }
  }

  /** The round trip to the supernode by the data link, when it is known. */
  get linkRttMs(): number | undefined {
    return this.#link?.rttMs;
  }

  /** Opens a stream on the data link, nothing said on it yet. */
  async open(signal: AbortSignal): Promise<MuxStream> {
    if (!this.#link) throw new DialError("path_down", "There is no link to a supernode yet");
    return await this.#link.open(signal);
  }

  close(): void {
    this.#closed = true;
    this.control.close();
    for (const link of this.#links) link.close();
  }

  /** Settles when nothing of it is left. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all([this.control.closed(), ...[...this.#links].map((link) => link.closed)]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #follow(supernode: SupernodeAddress, { relayToken }: AuthAccepted): void {
    const { clock, retireWithinMs = 60_000 } = this.#options;
    const { supernodeId } = supernode;
    this.#token = relayToken === undefined ? undefined : { text: relayToken, supernodeId, atMs: clock.now() };
    const present = this.#link?.supernode;
    if (this.#closed || (present?.supernodeId === supernodeId && present.url === supernode.url)) return;
    if (present) this.#losses++;
    this.#link?.retire(retireWithinMs);
    const { caCerts, locate, random, log, metrics, onStream } = this.#options;
    const link: DataLink = this.#link = new DataLink({
      supernode,
      token: (signal) => this.#tokenFor(supernodeId, signal),
      traffic: this.traffic,
      pool: this.#pool,
      clock,
      random,
      log,
      metrics,
      caCerts,
      locate,
      ...(onStream && { onStream }),
      onLost: () => {
        if (this.#link === link) this.#losses++;
      },
    });
    this.#links.add(link);
    link.closed.then(() => this.#links.delete(link));
  }

  async #tokenFor(supernodeId: string, signal: AbortSignal): Promise<string> {
    const { clock } = this.#options;
    const token = this.#token;
    if (token?.supernodeId === supernodeId) {
      this.#token = undefined;
      if (clock.now() - token.atMs < TOKEN_FRESH_MS) return token.text;
    }
    const { relayToken } = await this.control.request({ what: "relay_token" }, signal);
    if (this.control.supernode.supernodeId === supernodeId) return relayToken;
    throw new DialError("path_down", "The control stream has moved to another supernode");
  }
}
