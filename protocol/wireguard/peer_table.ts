/**
 * The peers of a device: by public key, and by the inner addresses they own. Takes changes in the words of `settings.ts`
 * and tells how things stand in them. Whether a change makes sense is checked before, by `check_change.ts`.
 */

import { KEY_BYTES } from "../primitives.ts";
import { AllowedIps } from "./allowed_ips.ts";
import { refuseValue } from "./check_change.ts";
import { MAX_PEERS } from "./constants.ts";
import { isZeroKey, keyToHex } from "./keys.ts";
import { Peer } from "./peer.ts";
import type { DeviceChange, Key, PeerChange, PeerStatus } from "./settings.ts";

/** What the machine does about a change besides noting it. */
export interface PeerTableEvents {
  removed(peer: Peer): void;
  /** It is to be kept alive and can be reached, one of which is new. */
  keepaliveWanted(peer: Peer): void;
}

export class PeerTable {
  readonly allowedIps: AllowedIps<Peer> = new AllowedIps<Peer>();
  readonly #peers = new Map<string, Peer>();
  readonly #events: PeerTableEvents;
  /** What every peer without a preshared key has; never written. */
  readonly #noKey: Key = new Uint8Array(KEY_BYTES);

  constructor(events: PeerTableEvents) {
    this.#events = events;
  }

  get size(): number {
    return this.#peers.size;
  }

  find(publicKey: Key): Peer | undefined {
    return this.#peers.get(keyToHex(publicKey));
  }

  [Symbol.iterator](): Iterator<Peer> {
    return this.#peers.values();
  }

  remove(peer: Peer): void {
    if (!this.#peers.delete(keyToHex(peer.publicKey))) return;
    this.allowedIps.removePeer(peer);
    this.#events.removed(peer);
    this.#setPresharedKey(peer, this.#noKey);
  }

  clear(): void {
    for (const peer of [...this.#peers.values()]) this.remove(peer);
  }

  /** Does one peer's part of a change that `checkDeviceChange` found in order. */
  apply(change: PeerChange): void {
    const known = this.find(change.publicKey);
    if (change.remove) {
      if (known) this.remove(known);
      return;
    }
    if (!known && change.updateOnly) return;
    const peer = known ?? this.#add(change.publicKey);
    if (change.presharedKey) this.#setPresharedKey(peer, change.presharedKey);
    const wasKeptAlive = isKeptAlive(peer);
    if (change.endpoint) peer.endpoint = change.endpoint;
    if (change.keepsEndpoint !== undefined) peer.keepsEndpoint = change.keepsEndpoint;
    if (change.replaceAllowedIps) this.allowedIps.removePeer(peer);
    for (const { cidr, remove } of change.allowedIps ?? []) {
      if (remove) this.allowedIps.remove(cidr, peer);
      else this.allowedIps.insert(cidr, peer);
    }
    if (change.persistentKeepaliveS !== undefined) {
      peer.persistentKeepaliveMs = change.persistentKeepaliveS * 1000;
      if (change.persistentKeepaliveS === 0) peer.persistentAtMs = Infinity;
    }
    if (!wasKeptAlive && isKeptAlive(peer)) this.#events.keepaliveWanted(peer);
  }

  statusOf(peer: Peer): PeerStatus {
    return {
      publicKey: peer.publicKey.slice(),
      ...(peer.presharedKey !== this.#noKey && { presharedKey: peer.presharedKey.slice() }),
      ...(peer.endpoint && { endpoint: peer.endpoint }),
      persistentKeepaliveS: peer.persistentKeepaliveMs / 1000,
      lastHandshakeMs: peer.lastHandshakeWallMs,
      receivedBytes: peer.receivedBytes,
      sentBytes: peer.sentBytes,
      allowedIps: [...this.allowedIps.of(peer)],
    };
  }

  /** Throws if a change could lead to too many peers; what it removes makes no room before it is done. */
  checkRoom({ peers = [], replacePeers }: DeviceChange): void {
    const known = replacePeers ? 0 : this.#peers.size;
    if (known + peers.length <= MAX_PEERS) return;
    const keys = new Set(replacePeers ? [] : this.#peers.keys());
    for (const { publicKey, remove, updateOnly } of peers) if (!remove && !updateOnly) keys.add(keyToHex(publicKey));
    if (keys.size > MAX_PEERS) refuseValue("the number of peers", `at most ${MAX_PEERS}`, keys.size);
  }

  #add(publicKey: Key): Peer {
    const peer = new Peer(publicKey.slice(), this.#noKey);
    this.#peers.set(keyToHex(publicKey), peer);
    return peer;
  }

  #setPresharedKey(peer: Peer, key: Key): void {
    if (peer.presharedKey !== this.#noKey) peer.presharedKey.fill(0);
    peer.presharedKey = isZeroKey(key) ? this.#noKey : key.slice();
  }
}

function isKeptAlive(peer: Peer): boolean {
  return peer.persistentKeepaliveMs > 0 && peer.endpoint !== undefined;
}
