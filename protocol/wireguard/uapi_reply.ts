/**
 * What another device answers over the UAPI (`uapi.ts` shows the language): bytes in, one reply out per request.
 *
 * Fields that are not known are passed over, since devices may tell more than we ask. The public key is not among what
 * a device tells: it follows from the private one, and whoever has the curve at hand adds it.
 */

import { MAX_PEERS } from "./constants.ts";
import { parseEndpoint, type ScopeLookup } from "./endpoint.ts";
import { isZeroKey, keyFromHex } from "./keys.ts";
import { assign, type Draft, numberFrom } from "./read.ts";
import type { DeviceStatus, Key, PeerStatus } from "./settings.ts";
import { MAX_ALLOWED_IPS, UapiErrno, type UapiReadOptions } from "./uapi.ts";
import { type Field, fieldOf, LineReader, networkFrom } from "./uapi_line.ts";

export interface UapiReply {
  /** 0 when it went well, positive otherwise; EPROTO also for a reply that makes no sense. */
  readonly errno: number;
  /** What the fields say; to a set, nothing. */
  readonly status: DeviceStatus;
}

const MAX_COUNTER = 2 ** 64;

export class UapiReplyReader {
  readonly #lines = new LineReader();
  readonly #scopeOf: ScopeLookup | undefined;
  #reply: ReplyBuilder;

  constructor(options: UapiReadOptions = {}) {
    this.#scopeOf = options.scopeOf;
    this.#reply = new ReplyBuilder(this.#scopeOf);
  }

  /** The reply, once it is complete; bytes behind it are dropped, as a device says nothing unasked. */
  read(bytes: Uint8Array): UapiReply | undefined {
    for (const line of this.#lines.read(bytes)) {
      if (line !== "") {
        this.#reply.add(line);
        continue;
      }
      const reply = this.#reply.finish();
      this.#reply = new ReplyBuilder(this.#scopeOf);
      return reply;
    }
    return undefined;
  }
}

class ReplyBuilder {
  readonly #scopeOf: ScopeLookup | undefined;
  #errno: number | undefined;
  #isMalformed = false;
  #device: { privateKey?: Key; listenPort: number; fwmark: number } = { listenPort: 0, fwmark: 0 };
  #peers: Draft<PeerStatus>[] = [];
  #allowedIpCount = 0;

  constructor(scopeOf: ScopeLookup | undefined) {
    this.#scopeOf = scopeOf;
  }

  add(line: string | undefined): void {
    if (this.#isMalformed) return;
    const field = line === undefined ? undefined : fieldOf(line);
    if (field && this.#apply(field) && this.#peers.length <= MAX_PEERS && this.#allowedIpCount <= MAX_ALLOWED_IPS) {
      return;
    }
    this.#isMalformed = true;
    this.#peers = [];
  }

  finish(): UapiReply {
    const errno = this.#isMalformed ? UapiErrno.EPROTO : this.#errno ?? UapiErrno.EPROTO;
    return { errno, status: { ...this.#device, peers: this.#peers } };
  }

  #apply(field: Field): boolean {
    if (field.name === "errno") {
      this.#errno = numberFrom(field.value.replace(/^-/, ""), 0x7fffffff);
      return this.#errno !== undefined;
    }
    if (field.name === "public_key") return this.#beginPeer(field.value);
    const peer = this.#peers.at(-1);
    return peer ? this.#applyToPeer(peer, field) : this.#applyToDevice(field);
  }

  #beginPeer(value: string): boolean {
    const publicKey = keyFromHex(value);
    if (!publicKey) return false;
    this.#peers.push({
      publicKey,
      persistentKeepaliveS: 0,
      lastHandshakeMs: 0,
      receivedBytes: 0,
      sentBytes: 0,
      allowedIps: [],
    });
    return true;
  }

  #applyToDevice({ name, value }: Field): boolean {
    switch (name) {
      case "private_key":
        return assignKey(this.#device, "privateKey", value);
      case "listen_port":
        return assign(this.#device, "listenPort", numberFrom(value, 65535));
      case "fwmark":
        return assign(this.#device, "fwmark", numberFrom(value, 0xffffffff));
      default:
        return true;
    }
  }

  #applyToPeer(peer: Draft<PeerStatus>, { name, value }: Field): boolean {
    switch (name) {
      case "preshared_key":
        return assignKey(peer, "presharedKey", value);
      case "endpoint":
        // One whose interface is gone is left out rather than taking the whole reply with it.
        assign(peer, "endpoint", parseEndpoint(value, this.#scopeOf));
        return true;
      case "persistent_keepalive_interval":
        return assign(peer, "persistentKeepaliveS", numberFrom(value, 65535));
      case "last_handshake_time_sec":
        return addTo(peer, numberFrom(value, Number.MAX_SAFE_INTEGER / 1000), 1000);
      case "last_handshake_time_nsec":
        return addTo(peer, numberFrom(value, 1e9 - 1), 1e-6);
      case "rx_bytes":
        return assign(peer, "receivedBytes", numberFrom(value, MAX_COUNTER));
      case "tx_bytes":
        return assign(peer, "sentBytes", numberFrom(value, MAX_COUNTER));
      case "allowed_ip":
        return this.#applyAllowedIp(peer, value);
      default:
        return true;
    }
  }

  #applyAllowedIp(peer: Draft<PeerStatus>, value: string): boolean {
    const cidr = networkFrom(value);
    if (cidr) peer.allowedIps.push(cidr);
    this.#allowedIpCount++;
    return cidr !== undefined;
  }
}

/** The two lines of a time add up, whichever comes first. */
function addTo(peer: Draft<PeerStatus>, value: number | undefined, unitMs: number): boolean {
  if (value !== undefined) peer.lastHandshakeMs += value * unitMs;
  return value !== undefined;
}

interface Keys {
  privateKey?: Key;
  presharedKey?: Key;
}

/** No key is said by zeros. */
function assignKey(into: Keys, name: keyof Keys, value: string): boolean {
  const key = keyFromHex(value);
  if (key && !isZeroKey(key)) into[name] = key;
  return key !== undefined;
}
