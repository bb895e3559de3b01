/**
 * Sends raw packets through one socket, several by one sendmmsg. Nothing is copied: what is queued must lie still until
 * `flush`. What the kernel does not take is lost and counted; a packet too long for its way is told once.
 */

import { Slab } from "../../protocol/slab.ts";
import { Errno } from "../errno.ts";
import { IOVEC, MMSGHDR, MSGHDR, putU64, SlabAddresses } from "../layout.ts";
import { addressOf, type Libc } from "../libc.ts";
import { POLLOUT, PollSet } from "../poll.ts";
import { MSG_NOSIGNAL } from "../udp_options.ts";

const SLOTS = 64;
const NAME_BYTES = 32;
/** How long one flush may wait for room, and how often. */
const ROOM_WAIT_MS = 5;
const WAITS = 4;

export interface RawSendEvents {
  /** A packet of that length did not fit its way. */
  onTooLong(bytes: number): void;
}

export class RawSender {
  sentPackets = 0;
  lostPackets = 0;
  /** Why the last that was lost was. */
  lastErrno = 0;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #events: RawSendEvents;
  readonly #addresses = new SlabAddresses();
  readonly #headers = new Slab(SLOTS * MMSGHDR.size);
  readonly #vectors = new Slab(SLOTS * IOVEC.size);
  readonly #names = new Slab(SLOTS * NAME_BYTES);
  /** The name that a slot holds. */
  readonly #held: (Uint32Array | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #packets = new Int32Array(SLOTS);
  readonly #lengths = new Int32Array(SLOTS);
  readonly #room: PollSet;
  #queued = 0;
  #waits = WAITS;
  /** It was waited for room in vain. Until there is some nobody is held up any more. */
  #isFull = false;

  /** The descriptor stays the caller's. */
  constructor(libc: Libc, fd: number, events: RawSendEvents) {
    this.#libc = libc;
    this.#fd = fd;
    this.#events = events;
    this.#room = new PollSet(libc, 1);
    this.#room.add(fd, POLLOUT);
    const vectors = Number(addressOf(this.#vectors.bytes)), names = Number(addressOf(this.#names.bytes));
    for (let slot = 0; slot < SLOTS; slot++) {
      const at = slot * MMSGHDR.size;
      putU64(this.#headers.view, at + MSGHDR.name, names + slot * NAME_BYTES);
      putU64(this.#headers.view, at + MSGHDR.iovec, vectors + slot * IOVEC.size);
      this.#headers.view.setUint32(at + MSGHDR.iovecCount, 1, true);
    }
  }

  /** Takes slab[start, end), which counts as that many packets. */
  queue(slab: Slab, start: number, end: number, packets: number, name: Uint32Array, nameBytes: number): void {
    if (this.#queued === SLOTS) this.flush();
    const slot = this.#queued++;
    if (this.#held[slot] !== name) {
      this.#held[slot] = name;
      const at = slot * NAME_BYTES / 4;
      for (let word = 0; word < name.length; word++) this.#names.words[at + word] = name[word]!;
      this.#headers.view.setUint32(slot * MMSGHDR.size + MSGHDR.nameLength, nameBytes, true);
    }
    putU64(this.#vectors.view, slot * IOVEC.size + IOVEC.base, this.#addresses.of(slab) + start);
    this.#vectors.view.setUint32(slot * IOVEC.size + IOVEC.length, end - start, true);
    this.#packets[slot] = packets;
    this.#lengths[slot] = end - start;
  }

  flush(): void {
    const count = this.#queued;
    this.#queued = 0;
    this.#waits = WAITS;
    for (let slot = 0; slot < count;) {
      const went = this.#send(slot, count - slot);
      for (let sent = slot; sent < slot + went; sent++) this.sentPackets += this.#packets[sent]!;
      if (went > 0) slot += went;
      else this.#lose(slot++);
    }
  }

  /** How many messages from `slot` on went; 0: the first of them cannot. */
  #send(slot: number, count: number): number {
    const { sendmmsg } = this.#libc.call;
    for (;;) {
      const went = sendmmsg(this.#fd, this.#headers.from(slot * MMSGHDR.size), count, MSG_NOSIGNAL);
      if (went > 0) return went;
      const errno = this.#libc.errno();
      if (errno === Errno.EINTR || (errno === Errno.EAGAIN && this.#waitForRoom())) continue;
      this.lastErrno = errno;
      return 0;
    }
  }

  #lose(slot: number): void {
    this.lostPackets += this.#packets[slot]!;
    if (this.lastErrno === Errno.EMSGSIZE) this.#events.onTooLong(this.#lengths[slot]!);
  }

  #waitForRoom(): boolean {
    if (this.#waits === 0) return false;
    this.#isFull = this.#room.wait(this.#isFull ? 0 : ROOM_WAIT_MS) === 0;
    this.#waits = this.#isFull ? 0 : this.#waits - 1;
    return this.#waits > 0;
  }
}
