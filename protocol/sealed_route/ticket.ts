/**
 * A ticket joins two places at a relay: what comes from A goes to B, what comes from B goes to A, and what comes from
 * anywhere else goes nowhere. Only the relay, and others that have its key, can make and read it.
 *
 *   version 6 bits, epoch 2 │ nonce 7 │ sealed: A 16 │ B 16 │ A's port 2 │ B's port 2 │ expiry 2 │ account 2 │ tag 16
 *
 * ChaCha20-Poly1305 under the epoch's key; the first eight bytes are authenticated. IPv4 addresses are written as mapped
 * ones, ports are big endian, the rest little. `expiry` counts seconds from the epoch's beginning. `account` says whose
 * limits it counts against.
 *
 * A nonce is 31 bits that a process draws for itself and a counter of 22. So tickets of one process never share one, and
 * those of two do only if both draw the same within an hour. Whoever has two tickets of one nonce could forge others.
 */

import { type IpAddress, isV4Mapped } from "../ip.ts";
import { type Random, randomInt } from "../random.ts";
import { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import { TICKET_BYTES } from "./datagram.ts";
import { EPOCH_MS, type EpochKeys } from "./epoch_keys.ts";

/** A place as routes know them. */
export interface RoutePlace {
  readonly address: IpAddress;
  readonly port: number;
}

const VERSION = 1;
const NONCE_BYTES = 7;
const SEALED_AT = 1 + NONCE_BYTES;
const SEALED_BYTES = TICKET_BYTES - SEALED_AT;
const PLAIN_BYTES = SEALED_BYTES - TAG_BYTES;
const A_AT = SEALED_AT;
const B_AT = A_AT + 16;
const A_PORT_AT = B_AT + 16;
const B_PORT_AT = A_PORT_AT + 2;
const EXPIRY_AT = B_PORT_AT + 2;
const ACCOUNT_AT = EXPIRY_AT + 2;
const COUNTER_LIMIT = 2 ** 22;
const INSTANCE_LIMIT = 2 ** 31;

/** Accounts are told apart by so many bits; two clients that share one share its limits. */
export const ACCOUNTS = 1024;
/** No ticket outlives the key that opens it. */
export const MAX_LIFETIME_MS = EPOCH_MS;

export interface TicketFields {
  readonly a: RoutePlace;
  readonly b: RoutePlace;
  readonly account: number;
  readonly lifetimeMs: number;
}

/** Makes tickets. */
export class TicketSealer {
  readonly #keys: EpochKeys;
  readonly #random: Random;
  #instance: number;
  #counter = 0;

  constructor(keys: EpochKeys, random: Random) {
    this.#keys = keys;
    this.#random = random;
    this.#instance = randomInt(random, INSTANCE_LIMIT);
  }

  /** Writes a ticket into the slab at a place. */
  seal(slab: Slab, at: number, { a, b, account, lifetimeMs }: TicketFields, wallMs: number): void {
    const { epoch, aead } = this.#keys.current(wallMs);
    const { bytes, view } = slab;
    const nonce = this.#nextNonce();
    bytes[at] = VERSION << 2 | epoch & 3;
    putNonce(view, at, nonce);
    putAddress(bytes, at + A_AT, a.address);
    putAddress(bytes, at + B_AT, b.address);
    view.setUint16(at + A_PORT_AT, a.port);
    view.setUint16(at + B_PORT_AT, b.port);
    const lifeMs = Math.min(Math.max(lifetimeMs, 0), MAX_LIFETIME_MS);
    view.setUint16(at + EXPIRY_AT, Math.ceil((wallMs - epoch * EPOCH_MS + lifeMs) / 1000), true);
    view.setUint16(at + ACCOUNT_AT, account & (ACCOUNTS - 1), true);
    aead.seal(slab, at + SEALED_AT, PLAIN_BYTES, nonce, SEALED_AT);
  }

  #nextNonce(): number {
    if (this.#counter === COUNTER_LIMIT) {
      this.#instance = randomInt(this.#random, INSTANCE_LIMIT);
      this.#counter = 0;
    }
    return this.#instance * COUNTER_LIMIT + this.#counter++;
  }
}

/** Reads tickets, the last one read without opening it again: datagrams of a flow come in a row. */
export class TicketReader {
  /** The epoch of the ticket that was read, and what it says. */
  epoch = 0;
  account = 0;
  aPort = 0;
  bPort = 0;
  #expiryS = 0;
  readonly #keys: EpochKeys;
  readonly #sealed = new Slab(TICKET_BYTES);
  readonly #open = new Slab(TICKET_BYTES);
  #isKnown = false;

  constructor(keys: EpochKeys) {
    this.#keys = keys;
  }

  /** Where the addresses of A and B lie, as words of `words`. */
  readonly aWordAt = A_AT >> 2;
  readonly bWordAt = B_AT >> 2;

  get words(): Uint32Array {
    return this.#open.words;
  }

  /** Reads the ticket at a place; false when no key of now has made it. */
  read(slab: Slab, at: number, wallMs: number): boolean {
    if (this.#isKnown && this.#isLast(slab, at)) return this.#keys.find(this.epoch & 3, wallMs)?.epoch === this.epoch;
    this.#isKnown = false;
    const { bytes } = slab;
    const key = bytes[at]! >> 2 === VERSION ? this.#keys.find(bytes[at]! & 3, wallMs) : undefined;
    if (!key) return false;
    copyTicket(slab, at, this.#open);
    const { view } = this.#open;
    if (!key.aead.open(this.#open, SEALED_AT, SEALED_BYTES, nonceOf(view), SEALED_AT)) return false;
    copyTicket(slab, at, this.#sealed);
    this.#isKnown = true;
    this.epoch = key.epoch;
    this.aPort = view.getUint16(A_PORT_AT);
    this.bPort = view.getUint16(B_PORT_AT);
    this.#expiryS = view.getUint16(EXPIRY_AT, true);
    this.account = view.getUint16(ACCOUNT_AT, true) & (ACCOUNTS - 1);
    return true;
  }

  /** Whether the ticket that was read is too old. */
  isExpired(wallMs: number): boolean {
    return wallMs - this.epoch * EPOCH_MS >= this.#expiryS * 1000;
  }

  #isLast(slab: Slab, at: number): boolean {
    const { view } = slab, { words } = this.#sealed;
    for (let word = 0; word < TICKET_BYTES / 4; word++) {
      if (view.getUint32(at + 4 * word, true) !== words[word]) return false;
    }
    return true;
  }
}

/** The bytes that tell a ticket from every other, as a number; nobody but a relay can read more of it. */
export function ticketId(bytes: Uint8Array, at: number): number {
  let id = 0;
  for (let byte = SEALED_AT - 1; byte > 0; byte--) id = id * 256 + bytes[at + byte]!;
  return id;
}

/** An address as tickets write it. */
export function putAddress(bytes: Uint8Array, at: number, address: IpAddress): void {
  if (address.length === 16) return void bytes.set(address, at);
  bytes.fill(0, at, at + 10);
  bytes.fill(0xff, at + 10, at + 12);
  bytes.set(address, at + 12);
}

/** An address as everyone else writes it. */
export function takeAddress(bytes: Uint8Array, at: number): IpAddress {
  const address = new Uint8Array(bytes.subarray(at, at + 16));
  return isV4Mapped(address) ? address.slice(12) : address;
}

function copyTicket(from: Slab, at: number, into: Slab): void {
  for (let word = 0; word < TICKET_BYTES / 4; word++) {
    into.view.setUint32(4 * word, from.view.getUint32(at + 4 * word, true), true);
  }
}

function putNonce(view: DataView, at: number, nonce: number): void {
  view.setUint32(at + 1, nonce % 2 ** 32, true);
  const high = Math.floor(nonce / 2 ** 32);
  view.setUint16(at + 5, high & 0xffff, true);
  view.setUint8(at + 7, high >> 16);
}

/** Of a ticket at the beginning of a slab; more than a nonce can be is what somebody else has written there. */
function nonceOf(view: DataView): number {
  return (view.getUint8(7) & 0x1f) * 2 ** 48 + view.getUint16(5, true) * 2 ** 32 + view.getUint32(1, true);
}
