/**
 * Sends datagrams through one UDP socket: batches of equal datagrams that the kernel cuts up (UDP_SEGMENT), several of
 * them by one sendmmsg. `queue` takes as many as there are slots and flushes when they are full; nothing is copied, so what
 * is queued must lie still until `flush`. For small datagrams a sendmmsg saves a tenth of what each costs alone.
 *
 * What the kernel refuses is tried in the way that the refusal suggests, and given up and counted otherwise:
 *   EAGAIN                  the send buffer is full: waits a moment for room
 *   EIO, EINVAL, EMSGSIZE   segmentation does not work on this way (a card without checksums, a smaller MTU): one by
 *                           one, and so the next batches, until it is tried again
 *   EINVAL, ENETUNREACH, …  our address, which the peer last used, may be gone: without it
 */

import type { Slab } from "../protocol/slab.ts";
import { Errno } from "./errno.ts";
import { SlabAddresses } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { POLLOUT, PollSet } from "./poll.ts";
import type { UdpEndpoint } from "./udp_endpoint.ts";
import { UdpMessages } from "./udp_messages.ts";
import { MSG_NOSIGNAL } from "./udp_options.ts";

/** The kernel's limit (UDP_MAX_SEGMENTS of Linux 4.18 to 6.8, larger since). */
export const MAX_SEGMENTS = 64;
/** The most that fits one IP packet with its headers. */
export const MAX_BATCH_BYTES_V4 = 65_507;
export const MAX_BATCH_BYTES_V6 = 65_527;

const SLOTS = 64;
/** How long to wait for room in the send buffer; longer, and packets get lost at the other end of this loop instead. */
const ROOM_WAIT_MS = 10;
/** How many such waits one flush may take, lest a full buffer hold everything up. */
const WAITS = 16;
/** So many batches go one by one before segmentation is tried again. */
const PLAIN_BATCHES = 1024;

export interface UdpSendCounters {
  sentDatagrams: number;
  sentBytes: number;
  /** Datagrams that did not go: no route, no room, a filter, … `lastErrno` has the last reason. */
  refusedDatagrams: number;
}

export class UdpSender {
  readonly counters: UdpSendCounters = { sentDatagrams: 0, sentBytes: 0, refusedDatagrams: 0 };
  lastErrno = 0;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #maxBatchBytes: number;
  readonly #segments: boolean;
  readonly #messages: UdpMessages;
  /** For batches that are taken apart. */
  readonly #single: UdpMessages;
  readonly #addresses = new SlabAddresses();
  readonly #room: PollSet;
  #queued = 0;
  /** Whether something of what was queued since the last flush has already been refused. */
  #hasRefused = false;
  #waits = WAITS;
  /** It was waited for room in vain. Until there is some nobody is held up any more. */
  #isFull = false;

  /** `segments`: whether the kernel has UDP_SEGMENT. The descriptor stays the caller's. */
  constructor(libc: Libc, fd: number, options: { isV6: boolean; segments: boolean }) {
    this.#libc = libc;
    this.#fd = fd;
    this.#maxBatchBytes = options.isV6 ? MAX_BATCH_BYTES_V6 : MAX_BATCH_BYTES_V4;
    this.#segments = options.segments;
    this.#messages = new UdpMessages(SLOTS, options.isV6);
    this.#single = new UdpMessages(1, options.isV6);
    this.#room = new PollSet(libc, 1);
    this.#room.add(fd, POLLOUT);
  }

  /** Takes slab[offset, offset+length) as datagrams of `segmentBytes`, the last maybe shorter. */
  queue(slab: Slab, offset: number, length: number, segmentBytes: number, to: UdpEndpoint, tos: number): void {
    const most = length > segmentBytes ? this.#mostTogether(segmentBytes, to) : length;
    let address = this.#addresses.of(slab) + offset;
    let left = length;
    do {
      const bytes = Math.min(left, most);
      if (this.#queued === SLOTS) this.#hasRefused = !this.flush();
      this.#messages.put(this.#queued++, address, bytes, segmentBytes, to, tos);
      address += bytes;
      left -= bytes;
    } while (left > 0);
  }

  /** Sends what is queued. True: all of it went, what a full queue had to send earlier included. */
  flush(): boolean {
    const count = this.#queued;
    let all = !this.#hasRefused;
    this.#queued = 0;
    this.#hasRefused = false;
    this.#waits = WAITS;
    for (let slot = 0; slot < count;) {
      const went = this.#send(this.#messages, slot, count - slot);
      if (went > 0) {
        slot += went;
      } else {
        all = this.#rescue(slot++, -went) && all;
      }
    }
    return all;
  }

  /** How many bytes of a batch may go as one. */
  #mostTogether(segmentBytes: number, to: UdpEndpoint): number {
    if (to.plainBatches > 0) to.plainBatches--;
    else if (this.#segments) {
      return Math.max(1, Math.min(MAX_SEGMENTS, Math.floor(this.#maxBatchBytes / segmentBytes))) * segmentBytes;
    }
    return segmentBytes;
  }

  /** Gives how many messages from `slot` on went, or the negative errno of the first. */
  #send(messages: UdpMessages, slot: number, count: number): number {
    const { sendmsg, sendmmsg } = this.#libc.call;
    for (;;) {
      const from = messages.from(slot);
      const went = count === 1
        ? (sendmsg(this.#fd, from, MSG_NOSIGNAL) < 0 ? -1 : 1)
        : sendmmsg(this.#fd, from, count, MSG_NOSIGNAL);
      if (went > 0) {
        for (let sent = slot; sent < slot + went; sent++) this.#countSent(messages, sent);
        return went;
      }
      const errno = this.#libc.errno();
      if (errno === Errno.EINTR || (errno === Errno.EAGAIN && this.#waitForRoom())) continue;
      this.lastErrno = errno;
      return -errno;
    }
  }

  #waitForRoom(): boolean {
    if (this.#waits === 0) return false;
    this.#isFull = this.#room.wait(this.#isFull ? 0 : ROOM_WAIT_MS) === 0;
    this.#waits = this.#isFull ? 0 : this.#waits - 1;
    return this.#waits > 0;
  }

  /** Whether a refused message went in another way. */
  #rescue(slot: number, errno: number): boolean {
    const to = this.#messages.destination(slot);
    const isBatch = this.#messages.length(slot) > this.#messages.segmentBytes(slot);
    const isOddlyShaped = errno === Errno.EINVAL || errno === Errno.EIO || errno === Errno.EMSGSIZE;
    if (isBatch && isOddlyShaped && this.#sendOneByOne(slot)) {
      to.plainBatches = PLAIN_BATCHES;
      return true;
    }
    if (mayBeOurAddress(errno) && to.hasOurAddress) {
      to.forgetOurAddress();
      this.#messages.refresh(to);
      this.#single.refresh(to);
      // Without our address in it, this cannot come back here a second time.
      const again = this.#send(this.#messages, slot, 1);
      return again > 0 || this.#rescue(slot, -again);
    }
    this.counters.refusedDatagrams += this.#datagrams(this.#messages, slot);
    return false;
  }

  /** Sends the datagrams of a batch on their own; false when the first does not go either. */
  #sendOneByOne(slot: number): boolean {
    const batch = this.#messages, segmentBytes = batch.segmentBytes(slot), length = batch.length(slot);
    for (let at = 0; at < length; at += segmentBytes) {
      const bytes = Math.min(segmentBytes, length - at);
      this.#single.put(0, batch.address(slot) + at, bytes, bytes, batch.destination(slot), batch.tos(slot));
      if (this.#send(this.#single, 0, 1) > 0) continue;
      if (at === 0) return false;
      this.counters.refusedDatagrams++;
    }
    return true;
  }

  #countSent(messages: UdpMessages, slot: number): void {
    this.counters.sentDatagrams += this.#datagrams(messages, slot);
    this.counters.sentBytes += messages.length(slot);
  }

  #datagrams(messages: UdpMessages, slot: number): number {
    const length = messages.length(slot), segmentBytes = messages.segmentBytes(slot);
    return length > segmentBytes ? Math.ceil(length / segmentBytes) : 1;
  }
}

/** What IPv6 and IPv4 say when they are to send from an address that is not there. */
function mayBeOurAddress(errno: number): boolean {
  return errno === Errno.EINVAL || errno === Errno.ENETUNREACH || errno === Errno.EHOSTUNREACH ||
    errno === Errno.EADDRNOTAVAIL;
}
