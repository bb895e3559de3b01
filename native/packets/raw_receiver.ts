/**
 * Receives raw packets of one family from AF_PACKET, which sees them before the kernel's firewall and TCP do. What the
 * kernel or the card has joined comes as one frame with the length of its parts in the virtio header, and is taken apart
 * again; a frame that was cut short is dropped and counted. Only what is addressed to this machine is taken.
 */

import { VIRTIO_HEADER_BYTES, VIRTIO_SEGMENT_BYTES, VIRTIO_SEGMENTATION } from "../../protocol/packet/virtio.ts";
import type { CarrierHandlers } from "../../protocol/packet_carrier.ts";
import { Slab } from "../../protocol/slab.ts";
import type { TcpLook } from "../../protocol/tcp_look/look.ts";
import { SegmentReader } from "../../protocol/tcp_look/segment_reader.ts";
import { Errno, SysError } from "../errno.ts";
import { CMSGHDR, IOVEC, MSGHDR, putU64 } from "../layout.ts";
import { addressOf, type Libc } from "../libc.ts";
import type { PacketSource } from "./packet_loop.ts";
import { AUXDATA, PACKET_AUXDATA, SOCKADDR_LL } from "./packet_socket.ts";
import type { RawPlace, RawPlaces } from "./raw_place.ts";

/** The longest packet with its headers. */
const FRAME_BYTES = 65_536 + 128;
const NAME_AT = MSGHDR.size;
const IOVEC_AT = NAME_AT + 32;
const CONTROL_AT = IOVEC_AT + IOVEC.size;
const CONTROL_BYTES = 64;
const MESSAGE_BYTES = CONTROL_AT + CONTROL_BYTES;
/** In MSGHDR.flags: the frame was longer than there was room for. */
const MSG_TRUNC = 0x20;
/** Packet types: to us, and what loopback shows of itself. */
const TO_THIS_HOST = 0;

export interface RawReceiveCounters {
  receivedPackets: number;
  /** Frames that did not come whole. */
  truncatedFrames: number;
  /** Not of this look, or not whole TCP. */
  refusedPackets: number;
}

export interface RawReceiverOptions {
  readonly fd: number;
  readonly look: TcpLook;
  readonly places: RawPlaces;
  readonly handlers: CarrierHandlers;
  readonly counters: RawReceiveCounters;
}

export class RawReceiver implements PacketSource {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #options: RawReceiverOptions;
  readonly #hears: boolean;
  readonly #message = new Slab(MESSAGE_BYTES);
  readonly #frame = new Slab(FRAME_BYTES);
  readonly #reader = new SegmentReader();

  constructor(libc: Libc, options: RawReceiverOptions) {
    this.#libc = libc;
    this.#options = options;
    this.fd = options.fd;
    this.#hears = options.look.name === "ours";
    const { view } = this.#message;
    const address = Number(addressOf(this.#message.bytes));
    putU64(view, MSGHDR.name, address + NAME_AT);
    putU64(view, MSGHDR.iovec, address + IOVEC_AT);
    view.setUint32(MSGHDR.iovecCount, 1, true);
    putU64(view, MSGHDR.control, address + CONTROL_AT);
    putU64(view, IOVEC_AT + IOVEC.base, Number(addressOf(this.#frame.bytes)));
    view.setUint32(IOVEC_AT + IOVEC.length, FRAME_BYTES, true);
  }

  receive(): number {
    const { view, bytes } = this.#message, { counters } = this.#options;
    view.setUint32(MSGHDR.nameLength, SOCKADDR_LL.size, true);
    view.setUint32(MSGHDR.controlLength, CONTROL_BYTES, true);
    const length = this.#libc.call.recvmsg(this.fd, bytes, 0);
    if (length < 0) return this.#readError();
    if (bytes[NAME_AT + SOCKADDR_LL.packetType] !== TO_THIS_HOST) return 1;
    const linkBytes = this.#linkBytes();
    if (linkBytes < 0) {
      counters.truncatedFrames++;
      return 1;
    }
    if (this.#reader.read(this.#frame, VIRTIO_HEADER_BYTES + linkBytes, length)) return this.#take(linkBytes);
    counters.refusedPackets++;
    return 1;
  }

  /** How many packets it stands for; throws when nothing can be received any more. */
  #readError(): number {
    const errno = this.#libc.errno();
    if (errno === Errno.EAGAIN) return 0;
    // An interface that goes down says so once, and may come back.
    if (errno === Errno.ENETDOWN || errno === Errno.EINTR || errno === Errno.EINVAL) return 1;
    throw new SysError("receive raw packets", "recvmsg", errno);
  }

  /** The length of the link header; -1 when the frame did not come whole. */
  #linkBytes(): number {
    const { view } = this.#message;
    const isCut = (view.getUint32(MSGHDR.flags, true) & MSG_TRUNC) !== 0;
    const hasControl = view.getUint32(MSGHDR.controlLength, true) >= CMSGHDR.data + AUXDATA.size &&
      view.getInt32(CONTROL_AT + CMSGHDR.type, true) === PACKET_AUXDATA;
    if (isCut || !hasControl) return -1;
    const at = CONTROL_AT + CMSGHDR.data;
    if (view.getUint32(at + AUXDATA.snapLength, true) < view.getUint32(at + AUXDATA.length, true)) return -1;
    return view.getUint16(at + AUXDATA.networkAt, true) - view.getUint16(at + AUXDATA.linkAt, true);
  }

  /** Hands on the payload of the packet that has been read, in the parts it was sent in; gives how many. */
  #take(linkBytes: number): number {
    const { look, places, handlers, counters } = this.#options;
    const frame = this.#frame, reader = this.#reader;
    const { payloadAt, payloadEnd, flags } = reader;
    if (payloadAt === payloadEnd || !look.accepts(flags)) {
      counters.refusedPackets++;
      return 1;
    }
    const { addressesAt, isV6, sourcePort, destinationPort } = reader;
    const place = places.from(frame.bytes, addressesAt, isV6, sourcePort, destinationPort);
    this.#learn(place, linkBytes);
    const isJoined = frame.bytes[VIRTIO_SEGMENTATION] !== 0;
    const partBytes = isJoined ? frame.view.getUint16(VIRTIO_SEGMENT_BYTES, true) : payloadEnd - payloadAt;
    // One that says it was joined of nothing is not taken apart.
    const step = partBytes > 0 ? partBytes : payloadEnd - payloadAt;
    let packets = 0;
    for (let next = payloadAt; next < payloadEnd; next += step) {
      const bytes = Math.min(step, payloadEnd - next), at = next & ~3;
      if (at !== next) frame.bytes.copyWithin(at, next, next + bytes);
      handlers.onPacket(frame, at, at + bytes, place);
      packets++;
    }
    counters.receivedPackets += packets;
    return packets;
  }

  /** What the packet tells of its flow, and of the way back. */
  #learn(place: RawPlace, linkBytes: number): void {
    const reader = this.#reader, frame = this.#frame;
    if (this.#hears) {
      const at = reader.timestampAt(frame);
      const next = (reader.sequence + reader.payloadEnd - reader.payloadAt) >>> 0;
      place.hear(next, at < 0 ? 0 : frame.view.getUint32(at));
    }
    const interfaceIndex = this.#message.view.getInt32(NAME_AT + SOCKADDR_LL.interfaceIndex, true);
    place.learnHop(interfaceIndex, frame.bytes, VIRTIO_HEADER_BYTES, linkBytes);
  }
}
