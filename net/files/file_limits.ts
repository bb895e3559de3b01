/**
 * How much a peer server gives at once: answers under way, bytes and requests per second, altogether and to each guest.
 *
 *   request ─▶ `refusalOf` (429)      answer with a body ─▶ `begin` (503, or a Transfer) ─▶ `take` (wait so long) … `end`
 *
 * The owner is bound by the whole server's limits alone, and by no number of requests. Whoever stops reading is cut off: a
 * look goes round now and then while anything is under way.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Random } from "../../protocol/random.ts";
import { BurstTable } from "../../protocol/control/burst_table.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";
import type { PeerGuest } from "../peers/peer_connection.ts";

export interface FileLimitOptions {
  /** Bytes of content per second, altogether. Default: no limit. */
  readonly bytesPerS?: number | undefined;
  /** Bytes of content per second, to each guest. Default: no limit. */
  readonly guestBytesPerS?: number | undefined;
  /** Requests per second of each guest; twice as many may come at once. Default 200. */
  readonly guestRequestsPerS?: number | undefined;
  /** Answers with a body of a file that are under way. Default 512. */
  readonly maxTransfers?: number | undefined;
  /** Default 64. */
  readonly maxGuestTransfers?: number | undefined;
  /** Whoever takes nothing for so long is cut off. Default 2 minutes. */
  readonly stallMs?: number | undefined;
}

/** An answer that is under way. */
export interface Transfer extends Disposable {
  /** Of so many bytes that are about to be sent: milliseconds to wait before. */
  take(bytes: number): number;
  /** The most that should be sent at once, for the rate to be even. */
  readonly maxChunkBytes: number;
  /** It goes on. */
  touch(): void;
}

/** Between requests of a guest who is forgotten and one who is remembered with all of its rate there is no difference. */
const MAX_IDLE_GUESTS = 1024;
/** A rate is kept within a tenth of a second. */
const CHUNKS_PER_S = 10;
const MIN_CHUNK_BYTES = 1024;

interface Share {
  readonly bucket: TokenBucket | undefined;
  transfers: number;
}

export class FileLimits implements Disposable {
  readonly #clock: Clock;
  readonly #options: FileLimitOptions;
  readonly #all: Share;
  readonly #guests = new Map<string, Share>();
  readonly #requests: BurstTable;
  readonly #live = new Set<LiveTransfer>();
  readonly #maxTransfers: number;
  readonly #maxGuestTransfers: number;
  readonly #stallMs: number;
  #sweep: Timer | undefined;

  constructor(clock: Clock, random: Random, options: FileLimitOptions = {}) {
    this.#clock = clock;
    this.#options = options;
    for (const [name, value] of Object.entries(options)) {
      if (value !== undefined && !(value > 0)) {
        throw new CulvertError("invalid_option", `Cannot limit files: ${name} must be above 0, got ${value}`);
      }
    }
    const { guestRequestsPerS = 200, maxTransfers = 512, maxGuestTransfers = 64, stallMs = 120_000 } = options;
    this.#maxTransfers = maxTransfers;
    this.#maxGuestTransfers = maxGuestTransfers;
    this.#stallMs = stallMs;
    this.#all = this.#share(options.bytesPerS);
    const burst = Math.max(1, 2 * guestRequestsPerS);
    this.#requests = new BurstTable(random, { perSecond: guestRequestsPerS, burst, slots: 1024 });
  }

  /** Milliseconds until this guest may ask again; 0 for now. */
  delayOf(guest: PeerGuest | undefined): number {
    return guest ? this.#requests.take(guest.peerId, this.#clock.now()) : 0;
  }

  /** Whether its answers have to be slowed down. */
  isPaced(guest: PeerGuest | undefined): boolean {
    const { bytesPerS, guestBytesPerS } = this.#options;
    return bytesPerS !== undefined || guest !== undefined && guestBytesPerS !== undefined;
  }

  get transfers(): number {
    return this.#live.size;
  }

  /** Undefined when too many are under way. `onStall` ends one that nobody reads from. */
  begin(guest: PeerGuest | undefined, onStall: () => void): Transfer | undefined {
    const share = guest && this.#shareOf(guest.peerId);
    if (this.#all.transfers >= this.#maxTransfers || (share?.transfers ?? 0) >= this.#maxGuestTransfers) {
      return undefined;
    }
    const shares = share ? [this.#all, share] : [this.#all];
    const transfer = new LiveTransfer(this.#clock, shares, onStall, (ended) => this.#live.delete(ended));
    this.#live.add(transfer);
    this.#sweep ??= this.#clock.after(this.#stallMs / 4, () => this.#lookRound());
    return transfer;
  }

  /** Cuts off whatever is under way. */
  [Symbol.dispose](): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    for (const transfer of [...this.#live]) transfer.onStall();
  }

  #lookRound(): void {
    this.#sweep = undefined;
    const untilMs = this.#clock.now() - this.#stallMs;
    for (const transfer of [...this.#live]) if (transfer.touchedAtMs <= untilMs) transfer.onStall();
    if (this.#live.size > 0) this.#sweep = this.#clock.after(this.#stallMs / 4, () => this.#lookRound());
  }

  #shareOf(peerId: string): Share {
    const known = this.#guests.get(peerId);
    if (known) return known;
    if (this.#guests.size >= MAX_IDLE_GUESTS) {
      for (const [id, { transfers }] of this.#guests) if (transfers === 0) this.#guests.delete(id);
    }
    const share = this.#share(this.#options.guestBytesPerS);
    this.#guests.set(peerId, share);
    return share;
  }

  #share(bytesPerS: number | undefined): Share {
    const rate = bytesPerS && { perSecond: bytesPerS, burst: bytesPerS };
    return { bucket: rate ? new TokenBucket(this.#clock, rate) : undefined, transfers: 0 };
  }
}

class LiveTransfer implements Transfer {
  readonly onStall: () => void;
  readonly maxChunkBytes: number;
  touchedAtMs: number;
  readonly #clock: Clock;
  readonly #shares: readonly Share[];
  readonly #onEnd: (ended: LiveTransfer) => void;
  #ended = false;

  constructor(
    clock: Clock,
    shares: readonly Share[],
    onStall: () => void,
    onEnd: (ended: LiveTransfer) => void,
  ) {
    this.#clock = clock;
    this.#shares = shares;
    this.onStall = onStall;
    this.#onEnd = onEnd;
    this.touchedAtMs = clock.now();
    const perSecond = Math.min(...shares.map(({ bucket }) => bucket?.rate.perSecond ?? Infinity));
    this.maxChunkBytes = Math.max(MIN_CHUNK_BYTES, Math.floor(perSecond / CHUNKS_PER_S));
    for (const share of shares) share.transfers++;
  }

  take(bytes: number): number {
    let waitMs = 0;
    for (const { bucket } of this.#shares) if (bucket) waitMs = Math.max(waitMs, bucket.take(bytes));
    return waitMs;
  }

  touch(): void {
    this.touchedAtMs = this.#clock.now();
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const share of this.#shares) share.transfers--;
    this.#onEnd(this);
  }
}
