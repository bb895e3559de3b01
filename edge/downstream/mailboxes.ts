/**
 * The mailboxes of a downstream by their aliases, so many at most and with so much in them. One is made for whoever
 * listens, or for a central that posts before anybody does; no central may take all the room there is, by however many
 * hops.
 */

import type { Clock } from "../../protocol/clock.ts";
import { Mailbox } from "./mailbox.ts";

export interface MailboxesOptions {
  readonly clock: Pick<Clock, "now">;
  readonly max: number;
  readonly allBytes: number;
  /** How long one is kept without a listener. */
  readonly unheardMs: number;
}

/** The part of all room that one central may take by mailboxes that nobody has listened to yet. */
const SHARE_OF_CENTRAL = 1 / 4;

export class Mailboxes {
  readonly #options: MailboxesOptions;
  readonly #byAlias = new Map<string, Mailbox>();
  /** What each central has opened that nobody has listened to yet. */
  readonly #founded = new Map<string, { count: number; bytes: number }>();
  #keptBytes = 0;

  constructor(options: MailboxesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byAlias.size;
  }

  /** What waits in all of them. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  get(key: string): Mailbox | undefined {
    return this.#byAlias.get(key);
  }

  /** A new array: what is done with one may remove it. */
  all(): Mailbox[] {
    return [...this.#byAlias.values()];
  }

  /** The one of that alias, made if there is none; undefined when there are too many. */
  open(alias: Uint8Array, key: string): Mailbox | undefined {
    const known = this.#byAlias.get(key);
    if (known) return known;
    const { clock, max, unheardMs } = this.#options;
    if (this.#byAlias.size >= max) return undefined;
    const mailbox = new Mailbox(alias, key, (bytes) => {
      this.#keptBytes += bytes;
      if (mailbox.founder !== undefined) this.#founded.get(mailbox.founder)!.bytes += bytes;
    });
    mailbox.expiresAtMs = clock.now() + unheardMs;
    this.#byAlias.set(key, mailbox);
    return mailbox;
  }

  /** One that a central posts to before anybody listens. */
  found(centralId: string, alias: Uint8Array, key: string): Mailbox | undefined {
    const founded = this.#founded.get(centralId) ?? { count: 0, bytes: 0 };
    if (founded.count >= this.#options.max * SHARE_OF_CENTRAL) return undefined;
    const mailbox = this.open(alias, key);
    if (!mailbox) return undefined;
    mailbox.founder = centralId;
    founded.count++;
    this.#founded.set(centralId, founded);
    return mailbox;
  }

  /** Whether so much more may be kept there. */
  hasRoom({ founder }: Mailbox, bytes: number): boolean {
    const { allBytes } = this.#options;
    if (this.#keptBytes + bytes > allBytes) return false;
    return founder === undefined || this.#founded.get(founder)!.bytes + bytes <= allBytes * SHARE_OF_CENTRAL;
  }

  /** Somebody listens: it counts for its central no more. */
  heard(mailbox: Mailbox): void {
    const { founder } = mailbox;
    if (founder === undefined) return;
    mailbox.founder = undefined;
    const founded = this.#founded.get(founder)!;
    founded.count--;
    founded.bytes -= mailbox.bytes;
    if (founded.count === 0) this.#founded.delete(founder);
  }

  remove(mailbox: Mailbox): void {
    mailbox.takeAll();
    this.heard(mailbox);
    this.#byAlias.delete(mailbox.key);
  }
}
