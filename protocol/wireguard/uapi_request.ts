/**
 * What a program asks of our device over the UAPI (`uapi.ts` shows the language): bytes in, whole requests out.
 *
 * A set is gathered and handed over as one change, so that a line which makes no sense at its end leaves nothing half
 * done (wireguard-go applies line by line). After such a line the rest of that request is skipped, up to the blank line.
 * What is not a request at all cannot be skipped; that connection is over. Memory is bounded by `MAX_PEERS` and
 * `MAX_ALLOWED_IPS`. Nothing of a line gets into a reason: it may be a key.
 */

import { MAX_PEERS } from "./constants.ts";
import { parseEndpoint, type ScopeLookup } from "./endpoint.ts";
import { keyFromHex } from "./keys.ts";
import { assign, type Draft, numberFrom } from "./read.ts";
import type { DeviceChange, PeerChange } from "./settings.ts";
import { MAX_ALLOWED_IPS, UapiErrno, type UapiReadOptions } from "./uapi.ts";
import { type Field, fieldOf, LineReader, networkFrom } from "./uapi_line.ts";

export type UapiRequest =
  | { readonly kind: "get" }
  | { readonly kind: "set"; readonly change: DeviceChange }
  /** To be answered with `errno`; after `isLast` the connection is to be closed. */
  | { readonly kind: "bad"; readonly errno: number; readonly reason: string; readonly isLast: boolean };

export class UapiRequestReader {
  readonly #lines = new LineReader();
  readonly #scopeOf: ScopeLookup | undefined;
  #current: GetRequest | SetRequest | undefined;
  #hasEnded = false;

  constructor(options: UapiReadOptions = {}) {
    this.#scopeOf = options.scopeOf;
  }

  /** The requests that are complete with these bytes. Nothing comes after one that `isLast`. */
  read(bytes: Uint8Array): UapiRequest[] {
    const requests: UapiRequest[] = [];
    for (const line of this.#lines.read(bytes)) {
      if (this.#hasEnded) break;
      const request = this.#take(line);
      if (request) requests.push(request);
    }
    return requests;
  }

  #take(line: string | undefined): UapiRequest | undefined {
    if (line === undefined) return this.#end("a line is too long");
    if (this.#current && line !== "") {
      this.#current.add(line);
      return undefined;
    }
    if (this.#current) {
      const request = this.#current.finish();
      this.#current = undefined;
      return request;
    }
    if (line === "get=1") this.#current = new GetRequest();
    else if (line === "set=1") this.#current = new SetRequest(this.#scopeOf);
    else return this.#end("a request must begin with get=1 or set=1");
    return undefined;
  }

  #end(reason: string): UapiRequest {
    this.#hasEnded = true;
    this.#current = undefined;
    return { kind: "bad", errno: UapiErrno.EPROTO, reason, isLast: true };
  }
}

/** A get has no fields. */
class GetRequest {
  #hasFields = false;

  add(_line: string): void {
    this.#hasFields = true;
  }

  finish(): UapiRequest {
    return this.#hasFields ? malformed(UapiErrno.EINVAL, "get=1 must be followed by a blank line") : { kind: "get" };
  }
}

class SetRequest {
  readonly #scopeOf: ScopeLookup | undefined;
  #change: Draft<DeviceChange> = {};
  #peers: Draft<PeerChange>[] = [];
  #allowedIpCount = 0;
  #lineCount = 0;
  #failure: UapiRequest | undefined;

  constructor(scopeOf: ScopeLookup | undefined) {
    this.#scopeOf = scopeOf;
  }

  add(line: string): void {
    this.#lineCount++;
    if (this.#failure) return;
    const field = fieldOf(line);
    if (!field) this.#fail(UapiErrno.EPROTO, "must be name=value");
    else if (!this.#apply(field)) this.#fail(UapiErrno.EINVAL, "must be a field and a value that are known here");
    else if (this.#peers.length > MAX_PEERS) this.#fail(UapiErrno.EINVAL, `must be one of at most ${MAX_PEERS} peers`);
    else if (this.#allowedIpCount > MAX_ALLOWED_IPS) {
      this.#fail(UapiErrno.EINVAL, `must be one of at most ${MAX_ALLOWED_IPS} allowed addresses`);
    }
  }

  finish(): UapiRequest {
    if (this.#failure) return this.#failure;
    if (this.#peers.length > 0) this.#change.peers = this.#peers;
    return { kind: "set", change: this.#change };
  }

  #fail(errno: number, rule: string): void {
    this.#failure = malformed(errno, `line ${this.#lineCount} of a set ${rule}`);
    this.#change = {};
    this.#peers = [];
  }

  #apply(field: Field): boolean {
    if (field.name === "public_key") return this.#beginPeer(field.value);
    const peer = this.#peers.at(-1);
    return peer ? this.#applyToPeer(peer, field) : this.#applyToDevice(field);
  }

  #beginPeer(value: string): boolean {
    const publicKey = keyFromHex(value);
    if (publicKey) this.#peers.push({ publicKey });
    return publicKey !== undefined;
  }

  #applyToDevice({ name, value }: Field): boolean {
    switch (name) {
      case "private_key":
        return assign(this.#change, "privateKey", keyFromHex(value));
      case "listen_port":
        return assign(this.#change, "listenPort", numberFrom(value, 65535));
      case "fwmark":
        return assign(this.#change, "fwmark", numberFrom(value, 0xffffffff));
      case "replace_peers":
        return assign(this.#change, "replacePeers", trueFrom(value));
      default:
        return false;
    }
  }

  #applyToPeer(peer: Draft<PeerChange>, { name, value }: Field): boolean {
    switch (name) {
      case "update_only":
        return assign(peer, "updateOnly", trueFrom(value));
      case "remove":
        return assign(peer, "remove", trueFrom(value));
      case "preshared_key":
        return assign(peer, "presharedKey", keyFromHex(value));
      case "endpoint":
        return assign(peer, "endpoint", parseEndpoint(value, this.#scopeOf));
      case "persistent_keepalive_interval":
        return assign(peer, "persistentKeepaliveS", numberFrom(value, 65535));
      case "replace_allowed_ips":
        // What came before it in the same request is forgotten too.
        delete peer.allowedIps;
        return assign(peer, "replaceAllowedIps", trueFrom(value));
      case "allowed_ip":
        return this.#applyAllowedIp(peer, value);
      case "protocol_version":
        return value === "1";
      default:
        return false;
    }
  }

  #applyAllowedIp(peer: Draft<PeerChange>, value: string): boolean {
    const remove = value.startsWith("-");
    const cidr = networkFrom(remove ? value.slice(1) : value);
    if (cidr) (peer.allowedIps ??= []).push(remove ? { cidr, remove } : { cidr });
    this.#allowedIpCount++;
    return cidr !== undefined;
  }
}

function trueFrom(value: string): true | undefined {
  return value === "true" ? true : undefined;
}

function malformed(errno: number, reason: string): UapiRequest {
  return { kind: "bad", errno, reason, isLast: false };
}
