/**
 * What the kernel's WireGuard is told and tells, as generic netlink of the family "wireguard".
 *
 *   set  device attributes, then peers, each with its attributes, then allowed addresses, each with theirs. What does not
 *        fit one message goes on in the next, which names the device and the peer again and nothing else of them.
 *   get  the same tree; a peer may be told over several messages, and is put together again by its key.
 *
 * The flags that replace what was there stand in the first fragment only, or each would undo the one before. UPDATE_ONLY
 * stands in all, or a later fragment would make the peer that the first was not to make. linux/wireguard.h.
 */

import { GENETLINK_HEADER_BYTES } from "../genetlink.ts";
import { type Cidr, formatCidr } from "../ip.ts";
import {
  AF_INET,
  AF_INET6,
  attributeBytes,
  Attributes,
  familyOf,
  type NetlinkMessage,
  NetlinkWriter,
  NLA_F_NESTED,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import type { AllowedIpChange, DeviceChange, DeviceStatus, Endpoint, Key, PeerChange, PeerStatus } from "./settings.ts";

export const WIREGUARD_FAMILY = "wireguard";
const VERSION = 1;
const WG_CMD_GET_DEVICE = 0;
const WG_CMD_SET_DEVICE = 1;

const Device = {
  IFINDEX: 1,
  IFNAME: 2,
  PRIVATE_KEY: 3,
  PUBLIC_KEY: 4,
  FLAGS: 5,
  LISTEN_PORT: 6,
  FWMARK: 7,
  PEERS: 8,
} as const;
const Peer = {
  PUBLIC_KEY: 1,
  PRESHARED_KEY: 2,
  FLAGS: 3,
  ENDPOINT: 4,
  PERSISTENT_KEEPALIVE: 5,
  LAST_HANDSHAKE: 6,
  RX_BYTES: 7,
  TX_BYTES: 8,
  ALLOWED_IPS: 9,
} as const;
const Allowed = { FAMILY: 1, ADDRESS: 2, BITS: 3, FLAGS: 4 } as const;

const REPLACE_PEERS = 1;
const REMOVE_PEER = 1;
const REPLACE_ALLOWED_IPS = 2;
const UPDATE_ONLY = 4;
/** Known to kernels from 6.16 on; `withoutAllowedIpRemovals` says the same to the others. */
const REMOVE_ALLOWED_IP = 1;

const KEY_BYTES = 32;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;
const NS_PER_MS = 1e6;

/** How long a message may get. Far below what a list attribute can hold (64 KiB) and what a socket takes. */
const MAX_MESSAGE_BYTES = 16_384;
/** A peer without its allowed addresses, at the most. */
const PEER_BYTES = attributeBytes(0) + 2 * attributeBytes(KEY_BYTES) + attributeBytes(4) +
  attributeBytes(SOCKADDR_IN6_BYTES) + attributeBytes(2) + attributeBytes(0);
/** An allowed address, at the most. */
const ALLOWED_IP_BYTES = attributeBytes(0) + attributeBytes(2) + attributeBytes(16) + attributeBytes(1) +
  attributeBytes(4);

/** A device by the name of its interface, or by its index, which a renaming leaves. */
export type WhichDevice = string | number;

export function encodeGetDevice(family: number, device: WhichDevice): Bytes {
  const writer = new NetlinkWriter(family, NLM_F_REQUEST | NLM_F_DUMP).raw(WG_CMD_GET_DEVICE, VERSION, 0, 0);
  return putDevice(writer, device).finish();
}

function putDevice(writer: NetlinkWriter, device: WhichDevice): NetlinkWriter {
  return typeof device === "number" ? writer.u32(Device.IFINDEX, device) : writer.text(Device.IFNAME, device);
}

/** The messages that make a change, to be sent one after the other. */
export function encodeSetDevice(family: number, device: WhichDevice, change: DeviceChange): Bytes[] {
  const { privateKey, listenPort, fwmark, replacePeers = false, peers = [] } = change;
  const fragments = new Fragments(family, device);
  const { writer } = fragments;
  if (privateKey) writer.bytes(Device.PRIVATE_KEY, privateKey);
  if (listenPort !== undefined) writer.u16(Device.LISTEN_PORT, listenPort);
  if (fwmark !== undefined) writer.u32(Device.FWMARK, fwmark);
  if (replacePeers) writer.u32(Device.FLAGS, REPLACE_PEERS);
  for (const peer of peers) putPeer(fragments, peer);
  return fragments.finish();
}

/** The messages of one change, and the attributes that are open in the last of them. */
class Fragments {
  readonly #family: number;
  readonly #device: WhichDevice;
  readonly #done: Bytes[] = [];
  #open: number[] = [];
  writer: NetlinkWriter;

  constructor(family: number, device: WhichDevice) {
    this.#family = family;
    this.#device = device;
    this.writer = this.#start();
  }

  #start(): NetlinkWriter {
    const writer = new NetlinkWriter(this.#family, NLM_F_REQUEST | NLM_F_ACK).raw(WG_CMD_SET_DEVICE, VERSION, 0, 0);
    return putDevice(writer, this.#device);
  }

  /** Begins a message if the last has not so much room left; true if it did. */
  makeRoom(bytes: number): boolean {
    if (this.writer.length + bytes <= MAX_MESSAGE_BYTES) return false;
    this.#end();
    this.writer = this.#start();
    return true;
  }

  get depth(): number {
    return this.#open.length;
  }

  open(type: number): void {
    this.#open.push(this.writer.begin(type | NLA_F_NESTED));
  }

  close(): void {
    const begin = this.#open.pop();
    if (begin !== undefined) this.writer.end(begin);
  }

  #end(): void {
    while (this.depth > 0) this.close();
    this.#done.push(this.writer.finish());
  }

  finish(): Bytes[] {
    this.#end();
    return this.#done;
  }
}

function putPeer(fragments: Fragments, peer: PeerChange): void {
  const { publicKey, updateOnly = false } = peer;
  // A removed peer has no addresses; in a second fragment they would make it again.
  const allowedIps = peer.remove ? [] : peer.allowedIps ?? [];
  fragments.makeRoom(PEER_BYTES + ALLOWED_IP_BYTES);
  openPeer(fragments, publicKey);
  const { writer } = fragments;
  const flags = (peer.remove ? REMOVE_PEER : 0) | (peer.replaceAllowedIps ? REPLACE_ALLOWED_IPS : 0) |
    (updateOnly ? UPDATE_ONLY : 0);
  if (peer.presharedKey) writer.bytes(Peer.PRESHARED_KEY, peer.presharedKey);
  if (peer.endpoint) writer.bytes(Peer.ENDPOINT, encodeEndpoint(peer.endpoint));
  if (peer.persistentKeepaliveS !== undefined) writer.u16(Peer.PERSISTENT_KEEPALIVE, peer.persistentKeepaliveS);
  if (flags !== 0) writer.u32(Peer.FLAGS, flags);
  if (allowedIps.length > 0) fragments.open(Peer.ALLOWED_IPS);
  for (const allowedIp of allowedIps) {
    if (fragments.makeRoom(ALLOWED_IP_BYTES)) {
      openPeer(fragments, publicKey);
      if (updateOnly) fragments.writer.u32(Peer.FLAGS, UPDATE_ONLY);
      fragments.open(Peer.ALLOWED_IPS);
    }
    putAllowedIp(fragments, allowedIp);
  }
  if (allowedIps.length > 0) fragments.close();
  fragments.close();
}

/** Begins a peer in the list of peers, and that list if it is not open yet. */
function openPeer(fragments: Fragments, publicKey: Key): void {
  if (fragments.depth === 0) fragments.open(Device.PEERS);
  fragments.open(0);
  fragments.writer.bytes(Peer.PUBLIC_KEY, publicKey);
}

function putAllowedIp(fragments: Fragments, { cidr, remove = false }: AllowedIpChange): void {
  fragments.open(0);
  fragments.writer.u16(Allowed.FAMILY, familyOf(cidr.address))
    .bytes(Allowed.ADDRESS, cidr.address)
    .u8(Allowed.BITS, cidr.bits);
  if (remove) fragments.writer.u32(Allowed.FLAGS, REMOVE_ALLOWED_IP);
  fragments.close();
}

/** struct sockaddr_in: family u16, port u16 big-endian, address, 8 unused; sockaddr_in6: family, port, flow u32, address, scope u32. */
function encodeEndpoint({ address, port, scopeId = 0 }: Endpoint): Bytes {
  const isV4 = address.length === 4;
  const bytes = new Uint8Array(isV4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, familyOf(address), true);
  view.setUint16(2, port);
  bytes.set(address, isV4 ? 4 : 8);
  if (!isV4) view.setUint32(24, scopeId, true);
  return bytes;
}

/** The device that the answers to a get tell of, put together. */
export function readDevice(family: number, messages: readonly NetlinkMessage[]): DeviceStatus {
  const device: { -readonly [K in keyof DeviceStatus]: DeviceStatus[K] } = { listenPort: 0, fwmark: 0, peers: [] };
  const peers = new Map<string, PeerStatus & { readonly allowedIps: Cidr[] }>();
  for (const { type, payload } of messages) {
    if (type !== family) continue;
    const attributes = new Attributes(payload, GENETLINK_HEADER_BYTES);
    const privateKey = readKey(attributes, Device.PRIVATE_KEY);
    const publicKey = readKey(attributes, Device.PUBLIC_KEY);
    if (privateKey) device.privateKey = privateKey;
    if (publicKey) device.publicKey = publicKey;
    device.listenPort = attributes.u16(Device.LISTEN_PORT) ?? device.listenPort;
    device.fwmark = attributes.u32(Device.FWMARK) ?? device.fwmark;
    for (const peer of attributes.list(Device.PEERS)) {
      const key = readKey(peer, Peer.PUBLIC_KEY);
      if (!key) continue;
      const name = key.toHex();
      const known = peers.get(name);
      if (known) known.allowedIps.push(...readAllowedIps(peer));
      else peers.set(name, readPeer(key, peer));
    }
  }
  return { ...device, peers: [...peers.values()] };
}

function readPeer(publicKey: Key, peer: Attributes): PeerStatus & { readonly allowedIps: Cidr[] } {
  const presharedKey = readKey(peer, Peer.PRESHARED_KEY);
  const endpoint = readEndpoint(peer.bytes(Peer.ENDPOINT));
  return {
    publicKey,
    ...presharedKey && { presharedKey },
    ...endpoint && { endpoint },
    persistentKeepaliveS: peer.u16(Peer.PERSISTENT_KEEPALIVE) ?? 0,
    lastHandshakeMs: readTimeMs(peer.bytes(Peer.LAST_HANDSHAKE, 16)),
    receivedBytes: peer.u64(Peer.RX_BYTES) ?? 0,
    sentBytes: peer.u64(Peer.TX_BYTES) ?? 0,
    allowedIps: [...readAllowedIps(peer)],
  };
}

/** A key, copied; undefined when it is absent or all zeros, which says the same. */
function readKey(attributes: Attributes, type: number): Key | undefined {
  const key = attributes.bytes(type, KEY_BYTES);
  return key?.some((byte) => byte !== 0) ? key.slice() : undefined;
}

function* readAllowedIps(peer: Attributes): Generator<Cidr> {
  for (const attributes of peer.list(Peer.ALLOWED_IPS)) {
    const address = attributes.bytes(Allowed.ADDRESS);
    const bits = attributes.u8(Allowed.BITS);
    if (!address || bits === undefined || attributes.u16(Allowed.FAMILY) !== familyOf(address)) continue;
    if ((address.length === 4 || address.length === 16) && bits <= address.length * 8) {
      yield { address: address.slice(), bits };
    }
  }
}

function readEndpoint(bytes: Bytes | undefined): Endpoint | undefined {
  if (!bytes || bytes.length < SOCKADDR_IN_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  const port = view.getUint16(2);
  if (family === AF_INET) return { address: bytes.slice(4, 8), port };
  if (family !== AF_INET6 || bytes.length < SOCKADDR_IN6_BYTES) return undefined;
  const scopeId = view.getUint32(24, true);
  return { address: bytes.slice(8, 24), port, ...scopeId !== 0 && { scopeId } };
}

/** struct __kernel_timespec: seconds i64, nanoseconds i64. */
function readTimeMs(bytes: Bytes | undefined): number {
  if (!bytes) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / NS_PER_MS;
}

/**
 * The same change for a kernel that cannot remove an allowed address by itself. An address belongs to one peer, so it is
 * moved to a peer of no other use, which is removed in the same message: no packet of another address is lost
 * meanwhile, as it would be if the list were replaced. `spareKey` is a public key nobody has.
 */
export function withoutAllowedIpRemovals(change: DeviceChange, now: DeviceStatus, spareKey: Key): DeviceChange {
  const owners = new Map<string, symbol>();
  // Who takes all addresses from a peer gives it another symbol: what it owned before is nobody's then.
  const known = new Map<string, symbol>();
  for (const { publicKey, allowedIps } of change.replacePeers ? [] : now.peers) {
    const owner = Symbol();
    known.set(publicKey.toHex(), owner);
    for (const cidr of allowedIps) owners.set(formatCidr(cidr), owner);
  }
  const peers = (change.peers ?? []).flatMap((peer): PeerChange[] => {
    const key = peer.publicKey.toHex();
    const { allowedIps = [], ...rest } = peer;
    if (peer.remove) known.delete(key);
    if (peer.remove || (peer.updateOnly && !known.has(key))) return [rest];
    const owner = (peer.replaceAllowedIps ? undefined : known.get(key)) ?? Symbol();
    known.set(key, owner);
    const moved: AllowedIpChange[] = [];
    // What is said last of an address is what counts.
    const last = new Map(allowedIps.map((one) => [formatCidr(one.cidr), one]));
    const added = new Set(allowedIps.filter(({ remove }) => !remove).map(({ cidr }) => formatCidr(cidr)));
    for (const [text, { cidr, remove }] of last) {
      if (!remove) owners.set(text, owner);
      else if (owners.get(text) === owner || added.has(text)) {
        moved.push({ cidr });
        owners.delete(text);
      }
    }
    const changed = { ...rest, allowedIps: [...last.values()].filter(({ remove }) => !remove) };
    if (moved.length === 0) return [changed];
    return [changed, { publicKey: spareKey, allowedIps: moved }, { publicKey: spareKey, remove: true }];
  });
  return { ...change, peers };
}
