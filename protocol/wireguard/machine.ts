/**
 * One WireGuard device without its sockets: it is told what arrives and what time it is, and says what to send.
 *
 *   inbound    open → inner → (once per run of datagrams) received        handshakes: offer, later pump
 *   outbound   route → sendingKeypair → seal … → (once per batch) sent     no key yet: stage
 *   time       advance, and nextDueMs for how long it may stay away
 *
 * The packet path works in place in the caller's slab and allocates nothing. Everything is synchronous; a Keypair is good
 * until the next call of `advance`, `received`, `pump` or `configure`. Input from strangers never throws and, unless it
 * proves authentic, changes nothing but counters, the handshake queue and the limits on handshakes.
 *
 * Not here: handshake messages (`handshaking.ts`), what is due when (`timers.ts`), sockets, the TUN, segmentation.
 * Whitepaper §5.4.6 and §6.
 */

import { type Log, silentLog } from "../log.ts";
import type { Random } from "../random.ts";
import { Slab } from "../slab.ts";
import { checkDeviceChange } from "./check_change.ts";
import {
  DEFAULT_MTU,
  KEEPALIVE_BYTES,
  KEEPALIVE_TIMEOUT_MS,
  PADDING_BYTES,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME_MS,
  REKEY_TIMEOUT_MS,
  TAG_BYTES,
  TRANSPORT_HEADER_BYTES,
  TRANSPORT_OVERHEAD_BYTES,
  TRANSPORT_TYPE,
} from "./constants.ts";
import type { WireGuardCrypto } from "./crypto.ts";
import type { LocalStatic } from "./handshake.ts";
import type { Sender } from "./handshake_queue.ts";
import { Handshaking } from "./handshaking.ts";
import { IndexTable } from "./index_table.ts";
import { destinationOf, innerLengthOf, paddedLength, sourceOf } from "./inner_packet.ts";
import type { Keypair } from "./keypair.ts";
import { equalKeys, isZeroKey } from "./keys.ts";
import { type MachineCounters, newMachineCounters } from "./machine_counters.ts";
import { counterOf, TRANSPORT, writeTransportHeader } from "./messages.ts";
import type { Outlet } from "./outlet.ts";
import { nameOf, type Peer } from "./peer.ts";
import { PeerTable } from "./peer_table.ts";
import type { DeviceChange, DeviceStatus, Endpoint, Key } from "./settings.ts";
import { StagedPackets } from "./staging.ts";
import { Timers } from "./timers.ts";

/** So many peers are looked at in one `advance`, so that thousands due at once do not hold up the packets. */
const PEERS_PER_ADVANCE = 64;

/** From here on an initiator asks for a new session when it receives: the last moment before it is too late. */
const REKEY_ON_RECEIVE_MS = REJECT_AFTER_TIME_MS - KEEPALIVE_TIMEOUT_MS - REKEY_TIMEOUT_MS;

export interface MachineOptions {
  readonly crypto: WireGuardCrypto;
  readonly random: Random;
  readonly outlet: Outlet;
  /** Milliseconds since 1970, for the timestamps of initiations and for status. */
  wallNow(): number;
  /** The time now, on the clock that `advance` will tell of. */
  readonly nowMs: number;
  readonly log?: Log;
  /** When an initiator renews a session it sends on. For tests against others; @default REKEY_AFTER_TIME_MS */
  readonly rekeyAfterTimeMs?: number;
}

/** What a device tells, less what only its sockets know. */
export type MachineStatus = Omit<DeviceStatus, "listenPort" | "fwmark">;

export class Machine implements Disposable {
  readonly counters: MachineCounters = newMachineCounters();
  /** Padding never makes a packet longer than this. */
  mtu = DEFAULT_MTU;
  readonly #options: MachineOptions;
  readonly #log: Log;
  readonly #rekeyAfterTimeMs: number;
  readonly #timers: Timers;
  readonly #indices: IndexTable;
  readonly #peers: PeerTable;
  readonly #handshaking: Handshaking;
  #local: LocalStatic | undefined;
  /** Where datagrams of our own making are built. */
  #scratch = new Slab(KEEPALIVE_BYTES);

  constructor(options: MachineOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#rekeyAfterTimeMs = options.rekeyAfterTimeMs ?? REKEY_AFTER_TIME_MS;
    this.#timers = new Timers(options.nowMs, options.random);
    this.#indices = new IndexTable(options.random);
    this.#peers = new PeerTable({
      removed: (peer) => this.#forgetPeer(peer),
      keepaliveWanted: (peer) => this.#timers.keepaliveNow(peer),
    });
    this.#handshaking = new Handshaking({
      crypto: options.crypto,
      random: options.random,
      outlet: options.outlet,
      wallNow: () => options.wallNow(),
      log: this.#log,
      timers: this.#timers,
      indices: this.#indices,
      peers: this.#peers,
      counters: this.counters,
      established: (peer) => this.#established(peer),
    });
  }

  /**
   * Time passes: sets the time at which all that follows happens, and does what is due. After that `nextDueMs` may still
   * say "now", when much is due at once: the rest is done by the next call.
   */
  advance(nowMs: number): void {
    if (nowMs > this.#timers.nowMs) this.#timers.nowMs = nowMs;
    if (this.#timers.nextDueMs <= this.#timers.nowMs) this.#timers.run(this.#timerActions, PEERS_PER_ADVANCE);
  }

  /** When `advance` is needed next; Infinity if nothing waits. Now and then early, never late. */
  nextDueMs(): number {
    return this.#timers.nextDueMs;
  }

  /** Changes what is named; throws if a value is not valid, and has then changed nothing. */
  configure(change: DeviceChange): void {
    checkDeviceChange(change);
    this.#peers.checkRoom(change);
    if (change.privateKey) this.#setPrivateKey(change.privateKey);
    if (change.replacePeers) this.#peers.clear();
    const ourKey = this.#local?.publicKey;
    for (const peer of change.peers ?? []) {
      if (!ourKey || !equalKeys(peer.publicKey, ourKey)) this.#peers.apply(peer);
    }
  }

  status(): MachineStatus {
    return {
      ...(this.#local && { privateKey: this.#local.privateKey.slice(), publicKey: this.#local.publicKey.slice() }),
      peers: Array.from(this.#peers, (peer) => this.#peers.statusOf(peer)),
    };
  }

  /** How many indices stand for sessions and for initiations without an answer. */
  get indicesInUse(): number {
    return this.#indices.size;
  }

  /**
   * Opens a transport message in place: the session it came on, or undefined if it is not authentic, too old or seen
   * before. The packet then begins TRANSPORT_HEADER_BYTES on; see `inner`.
   */
  open(slab: Slab, offset: number, length: number): Keypair | undefined {
    const { counters } = this;
    if (length < KEEPALIVE_BYTES || slab.view.getUint32(offset, true) !== TRANSPORT_TYPE) {
      counters.malformed++;
      return undefined;
    }
    // Read as a signed word: returned as an unsigned one, every second index would be garbage on the heap.
    const keypair = this.#indices.session(slab.view.getInt32(offset + TRANSPORT.receiver, true));
    if (!keypair) {
      counters.unknownIndex++;
      return undefined;
    }
    const counter = counterOf(slab.view, offset);
    if (this.#timers.nowMs - keypair.createdMs >= REJECT_AFTER_TIME_MS || counter >= REJECT_AFTER_MESSAGES) {
      counters.expired++;
      return undefined;
    }
    if (!keypair.receive.open(slab, offset + TRANSPORT_HEADER_BYTES, length - TRANSPORT_HEADER_BYTES, counter)) {
      counters.unauthentic++;
      return undefined;
    }
    if (!keypair.window.accept(counter)) {
      counters.replayed++;
      return undefined;
    }
    return keypair;
  }

  /**
   * The length of the inner packet of an opened message (`length` is the whole message's), its padding left out. 0 for
   * a keepalive, -1 for what is no IP packet or comes from an address that is not the peer's.
   */
  inner(keypair: Keypair, slab: Slab, offset: number, length: number): number {
    const sealedLength = length - TRANSPORT_OVERHEAD_BYTES;
    if (sealedLength === 0) return 0;
    const start = offset + TRANSPORT_HEADER_BYTES;
    const innerLength = innerLengthOf(slab.bytes, start, sealedLength);
    if (innerLength > 0 && sourceOf(this.#peers.allowedIps, slab.bytes, start) === keypair.peer) return innerLength;
    this.counters.refusedInner++;
    return -1;
  }

  /**
   * Authentic datagrams came from one source, on one session: `datagramBytes` in all, `hadData` if one was more than a
   * keepalive. `from` is kept, so it must not be written to afterwards; `peer.endpoint` itself when it is the same is
   * quickest. Staged packets may be sent from here.
   */
  received(keypair: Keypair, from: Endpoint, datagramBytes: number, hadData: boolean): void {
    const { peer } = keypair;
    if (peer.isRemoved) return;
    // Not compared: one endpoint may differ from another in what only the sockets know, the address of ours it was met at.
    if (!peer.keepsEndpoint) peer.endpoint = from;
    peer.receivedBytes += datagramBytes;
    this.#timers.authenticatedReceived(peer);
    if (hadData) this.#timers.dataReceived(peer);
    if (keypair === peer.next) this.#confirm(keypair);
    else this.#renewOnReceive(peer);
  }

  /**
   * Takes a copy of a handshake message, to be looked at by `pump`, and keeps `from`. What is none, or finds no room, is
   * dropped.
   */
  offer(slab: Slab, offset: number, length: number, sender: Sender): void {
    this.#handshaking.offer(slab, offset, length, sender);
  }

  /** Looks at up to `budget` handshake messages; true if some are left. */
  pump(budget: number): boolean {
    return this.#handshaking.pump(budget);
  }

  /** Whom an inner packet goes to. */
  route(bytes: Uint8Array, offset: number, length: number): Peer | undefined {
    return destinationOf(this.#peers.allowedIps, bytes, offset, length);
  }

  /** What to seal with for a peer; undefined when a handshake has to come first, which this asks for: then `stage`. */
  sendingKeypair(peer: Peer): Keypair | undefined {
    const keypair = peer.current;
    if (keypair && this.#isFitToSend(keypair)) return keypair;
    this.#handshaking.initiate(peer, "first");
    return undefined;
  }

  /**
   * Makes a datagram of the inner packet that lies TRANSPORT_HEADER_BYTES after `offset`; padding and tag need up to 31
   * bytes behind it. The datagram's length, or 0 if the session is over.
   */
  seal(keypair: Keypair, slab: Slab, offset: number, innerLength: number): number {
    if (keypair.isDisposed || keypair.sendCounter >= REJECT_AFTER_MESSAGES) return 0;
    const counter = keypair.sendCounter++;
    const start = offset + TRANSPORT_HEADER_BYTES;
    const padded = paddedLength(innerLength, this.mtu);
    for (let at = start + innerLength; at < start + padded; at++) slab.bytes[at] = 0;
    writeTransportHeader(slab.view, offset, keypair.remoteIndex, counter);
    keypair.send.seal(slab, start, padded, counter);
    return padded + TRANSPORT_OVERHEAD_BYTES;
  }

  /** Sealed datagrams of one session went out: `datagramBytes` in all, `hadData` if one was more than a keepalive. */
  sent(keypair: Keypair, datagramBytes: number, hadData: boolean): void {
    const { peer } = keypair;
    if (peer.isRemoved) return;
    peer.sentBytes += datagramBytes;
    this.#timers.authenticatedSent(peer);
    if (hadData) this.#timers.dataSent(peer);
    this.#renewOnSend(peer);
  }

  /** Keeps a copy of an inner packet until there is a session. Dropped if nobody knows where the peer is. */
  stage(peer: Peer, bytes: Uint8Array<ArrayBuffer>, offset: number, length: number): void {
    if (peer.isRemoved || !peer.endpoint) {
      this.counters.stagedDropped++;
      return;
    }
    peer.staged ??= new StagedPackets();
    if (!peer.staged.add(bytes, offset, length)) this.counters.stagedDropped++;
  }

  /** Wipes every key and forgets every peer. */
  [Symbol.dispose](): void {
    this.#peers.clear();
    this.#setIdentity(undefined);
  }

  readonly #timerActions = {
    sendKeepalive: (peer: Peer) => this.#sendKeepalive(peer),
    initiate: (peer: Peer, kind: "first" | "retry") => this.#handshaking.initiate(peer, kind),
    giveUp: (peer: Peer) => this.#giveUp(peer),
    forgetKeys: (peer: Peer) => {
      peer.forgetInitiation(this.#indices);
      peer.forgetSessions(this.#indices);
    },
  };

  #isFitToSend(keypair: Keypair): boolean {
    return keypair.maySend && this.#timers.nowMs - keypair.createdMs < REJECT_AFTER_TIME_MS &&
      keypair.sendCounter < REJECT_AFTER_MESSAGES;
  }

  #renewOnSend(peer: Peer): void {
    const keypair = peer.current;
    if (!keypair?.maySend) return;
    const isOld = keypair.isInitiator && this.#timers.nowMs - keypair.createdMs >= this.#rekeyAfterTimeMs;
    if (isOld || keypair.sendCounter > REKEY_AFTER_MESSAGES) this.#handshaking.initiate(peer, "first");
  }

  #renewOnReceive(peer: Peer): void {
    const keypair = peer.current;
    if (peer.askedAtLastMinute || !keypair?.maySend || !keypair.isInitiator) return;
    if (this.#timers.nowMs - keypair.createdMs < REKEY_ON_RECEIVE_MS) return;
    peer.askedAtLastMinute = true;
    this.#handshaking.initiate(peer, "first");
  }

  /** The peer has shown that it has the session it asked for. */
  #confirm(keypair: Keypair): void {
    const { peer } = keypair;
    peer.confirmSession(keypair, this.#indices);
    this.#handshaking.completed(peer);
    this.#sendStaged(peer);
  }

  /** We have a session that we asked for. The peer cannot use it before it hears from us on it. */
  #established(peer: Peer): void {
    if (!this.#sendStaged(peer)) this.#sendKeepalive(peer);
  }

  /** False if nothing waited, or there is still nothing to send it with. */
  #sendStaged(peer: Peer): boolean {
    const { staged, endpoint } = peer;
    const keypair = staged && this.sendingKeypair(peer);
    if (!keypair || !endpoint) return false;
    const packets = staged.take();
    peer.staged = undefined;
    let sentBytes = 0;
    for (const packet of packets) {
      const slab = this.#scratchFor(packet.length);
      slab.bytes.set(packet, TRANSPORT_HEADER_BYTES);
      const length = this.seal(keypair, slab, 0, packet.length);
      if (length > 0 && this.#options.outlet.send(slab, 0, length, endpoint)) sentBytes += length;
    }
    this.sent(keypair, sentBytes, true);
    return true;
  }

  #sendKeepalive(peer: Peer): void {
    const keypair = this.sendingKeypair(peer);
    if (!keypair || !peer.endpoint) return;
    const slab = this.#scratchFor(0);
    const length = this.seal(keypair, slab, 0, 0);
    const isGone = this.#options.outlet.send(slab, 0, length, peer.endpoint);
    // Also when it did not go, or the next persistent keepalive would never be due.
    this.sent(keypair, isGone ? length : 0, false);
  }

  #scratchFor(innerLength: number): Slab {
    const size = TRANSPORT_HEADER_BYTES + innerLength + PADDING_BYTES + TAG_BYTES;
    if (this.#scratch.size < size) this.#scratch = new Slab(size);
    return this.#scratch;
  }

  /** Nobody answers: what waits for a session is let go, and with it the reason to ask for one. */
  #giveUp(peer: Peer): void {
    this.#log.debug("A peer does not answer", { peer: nameOf(peer) });
    peer.forgetInitiation(this.#indices);
    this.#dropStaged(peer);
  }

  #dropStaged(peer: Peer): void {
    this.counters.stagedDropped += peer.staged?.size ?? 0;
    peer.staged = undefined;
  }

  #forgetPeer(peer: Peer): void {
    peer.isRemoved = true;
    peer.forgetInitiation(this.#indices);
    peer.forgetSessions(this.#indices);
    this.#timers.forget(peer);
    this.#dropStaged(peer);
    peer.stamper?.[Symbol.dispose]();
    peer.shared?.fill(0);
    peer.shared = undefined;
  }

  #setPrivateKey(privateKey: Key): void {
    if (isZeroKey(privateKey)) return this.#setIdentity(undefined);
    if (this.#local && equalKeys(this.#local.privateKey, privateKey)) return;
    const copy = privateKey.slice();
    const publicKey = this.#options.crypto.x25519PublicKey(copy);
    const ourselves = this.#peers.find(publicKey);
    if (ourselves) this.#peers.remove(ourselves);
    this.#setIdentity({ privateKey: copy, publicKey });
  }

  /** Sessions of the old key may still receive what is under way, but nothing more is sent on them. */
  #setIdentity(local: LocalStatic | undefined): void {
    for (const peer of this.#peers) {
      peer.shared?.fill(0);
      peer.shared = undefined;
      peer.forgetInitiation(this.#indices);
      // The next packet need not wait for what was sent under another name.
      peer.lastHandshakeSentMs = -Infinity;
      if (peer.current) peer.current.maySend = false;
      if (peer.next) peer.next.maySend = false;
      if (local && peer.persistentKeepaliveMs > 0) this.#timers.keepaliveNow(peer);
    }
    this.#local?.privateKey.fill(0);
    this.#local = local;
    this.#handshaking.identify(local);
  }
}
