/**
 * The port where a peer is reached directly: takes connections, says nothing to them, and hands them on with the time and
 * the room that strangers are given. Who it is shows under the seal (`sealed_knock.ts`).
 *
 *   accept ─▶ too many of late from there? ─▶ a place among newcomers (`newcomers.ts`) ─▶ `take`, until it is settled
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { BurstTable, type BurstTableOptions } from "../../protocol/control/burst_table.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { placeAt } from "../circuit/place_limits.ts";
import { closeQuietly } from "../close.ts";
import { type NewcomerDrop, Newcomers } from "../newcomers.ts";
import { type ListenAt, RenewableListener } from "../renewable_listener.ts";

export interface PeerPortLimits {
  /** Connections whose owner is not known yet. Default 512, and 32 from one address; beyond that the oldest is dropped. */
  readonly maxStrangers?: number;
  readonly maxStrangersPerAddress?: number;
  /** Connections from one address. Default 20 a second, 200 at once. */
  readonly addressConnections?: BurstTableOptions;
  /** From connecting to being let in. Default 10 s. */
  readonly knockTimeoutMs?: number;
}

export interface PeerPortOptions {
  readonly listen: ListenAt;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Takes a connection, which it owns; `settled` is to be called once it is known whose it is. Never rejects. */
  take(conn: Deno.TcpConn, settled: () => void): Promise<void>;
  onDrop(reason: NewcomerDrop | "too_often"): void;
  readonly limits?: PeerPortLimits | undefined;
}

const DEFAULT_CONNECTIONS: BurstTableOptions = { perSecond: 20, burst: 200 };
/** How long to wait before accepting again after a failure, such as too many open files. */
const ACCEPT_PAUSE_MS = 50;

export class PeerPort implements Disposable {
  readonly #options: PeerPortOptions;
  readonly #listener: RenewableListener;
  readonly #newcomers: Newcomers;
  readonly #rate: BurstTable;
  readonly #tasks = new Set<Promise<void>>();
  #isClosed = false;

  /** Begins to listen. Throws as `Deno.listen` does. */
  constructor(options: PeerPortOptions) {
    this.#options = options;
    const { listen, clock, random, limits, onDrop } = options;
    this.#rate = new BurstTable(random, limits?.addressConnections ?? DEFAULT_CONNECTIONS);
    this.#listener = new RenewableListener(listen);
    this.#newcomers = new Newcomers({
      ...{ clock, onDrop, timeoutMs: limits?.knockTimeoutMs ?? 10_000 },
      ...{ max: limits?.maxStrangers ?? 512, maxPerAddress: limits?.maxStrangersPerAddress ?? 32 },
    });
    this.#spawn(this.#acceptAll());
  }

  get address(): Deno.NetAddr {
    return this.#listener.address;
  }

  /** Stops listening, and ends what nobody is known of. */
  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    this.#newcomers[Symbol.dispose]();
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #acceptAll(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#isClosed) {
      try {
        await this.#newcomers.place();
        this.#arrive(await this.#listener.accept() as Deno.TcpConn);
      } catch (error) {
        if (this.#isClosed || error instanceof Deno.errors.BadResource) return;
        if (error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted) continue;
        log.warn("Cannot accept a connection of a peer", { error: messageOf(error) });
        await delay(clock, ACCEPT_PAUSE_MS);
      }
    }
  }

  #arrive(conn: Deno.TcpConn): void {
    const { hostname } = conn.remoteAddr as Deno.NetAddr;
    if (this.#rate.take(placeAt(hostname), this.#options.clock.now()) > 0) {
      this.#options.onDrop("too_often");
      return closeQuietly(conn);
    }
    this.#newcomers.arrived(conn, hostname);
    const settled = () => this.#newcomers.settled(conn);
    this.#spawn(this.#options.take(conn, settled).finally(settled));
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}
