/**
 * A TUN device: an interface whose other end is this process.
 *
 * Before every packet lies a virtio header of `VNET_HEADER_BYTES` (`protocol/packet/virtio.ts` knows its fields): one read
 * hands over up to 64 KiB that the kernel has not segmented yet, and one write takes as much. Where the kernel refuses that,
 * the header is zeros on reading and is left out on writing, so callers need no second way; `offload` says what to expect.
 *
 *   slab:  offset │ virtio header 10 │ IP packet …          readv and writev take any offset: with offset % 4 = 2 the
 *                                                           packet lies on whole words
 *
 * Non-blocking; never throws for a packet. Removing the interface ends the device (`ended`); being down does not.
 * Addresses, routes and bringing it up are for `rtnetlink.ts`.
 */

import { CulvertError } from "../protocol/errors.ts";
import type { Slab } from "../protocol/slab.ts";
import { Errno, SysError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { Iovec } from "./iovec.ts";
import { IFNAMSIZ, IFREQ } from "./layout.ts";
import { cString, type Libc } from "./libc.ts";

/** struct virtio_net_hdr */
export const VNET_HEADER_BYTES = 10;
/** The room a read needs: header and the longest IP packet. */
export const TUN_READ_BYTES = VNET_HEADER_BYTES + 65_535;

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

const TUNSETIFF = 0x400454can;
const TUNGETIFF = 0x800454d2n;
const TUNSETOFFLOAD = 0x400454d0n;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

const TUN_F_CSUM = 0x01n;
const TUN_F_TSO4 = 0x02n;
const TUN_F_TSO6 = 0x04n;
const TUN_F_USO4 = 0x20n;
const TUN_F_USO6 = 0x40n;
const TCP_OFFLOAD = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
const UDP_OFFLOAD = TUN_F_USO4 | TUN_F_USO6;

const SIOCGIFMTU = 0x8921n;
const SIOCSIFMTU = 0x8922n;
const SIOCSIFTXQLEN = 0x8943n;
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | O_CLOEXEC;

/** What may be handed over unsegmented, both ways. */
export interface TunOffload {
  readonly tcp: boolean;
  readonly udp: boolean;
}

export interface TunOptions {
  /** A name of at most 15 bytes; in `wg%d` the kernel puts the next free number. */
  readonly name: string;
  /** False: as on a kernel that refuses all of it. */
  readonly offload?: boolean;
}

export interface TunCounters {
  readPackets: number;
  writtenPackets: number;
  /** Packets the kernel did not take: the interface is down or gone, or they were malformed. */
  refusedPackets: number;
}

export class Tun implements Disposable {
  readonly offload: TunOffload;
  readonly counters: TunCounters = { readPackets: 0, writtenPackets: 0, refusedPackets: 0 };
  readonly #libc: Libc;
  readonly #fd: Fd;
  /** The kernel reads and changes interfaces through any socket. */
  readonly #control: Fd;
  readonly #headerIsReal: boolean;
  readonly #readInto = new Iovec(1);
  #ended = false;
  #lastErrno = 0;

  /** Makes the interface, or takes over a persistent one nobody holds. Needs CAP_NET_ADMIN. */
  static open(libc: Libc, options: TunOptions): Tun {
    checkName(options.name);
    using stack = new DisposableStack();
    const path = cString("/dev/net/tun");
    const number = libc.call.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    const fd = stack.use(new Fd(libc, number, "open /dev/net/tun", "open"));
    const action = `make the interface ${options.name}`;
    const control = stack.use(new Fd(libc, libc.call.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0), action, "socket"));
    const withHeader = options.offload !== false && attach(libc, fd, options.name, IFF_VNET_HDR);
    if (!withHeader) attach(libc, fd, options.name, 0);
    const tun = new Tun(libc, fd, control, withHeader);
    stack.move();
    return tun;
  }

  private constructor(libc: Libc, fd: Fd, control: Fd, headerIsReal: boolean) {
    this.#libc = libc;
    this.#fd = fd;
    this.#control = control;
    this.#headerIsReal = headerIsReal;
    this.offload = headerIsReal ? setOffload(libc, fd) : { tcp: false, udp: false };
  }

  /** For a poll set. */
  get fd(): number {
    return this.#fd.number;
  }

  /** True once the interface has been removed; nothing will come any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The error of the last read or write that failed, 0 if none did. */
  get lastErrno(): number {
    return this.#lastErrno;
  }

  /** The interface's name as it is now: it may have been renamed. */
  name(): string {
    const request = new Uint8Array(IFREQ.size);
    if (this.#libc.call.ioctl(this.#fd.number, TUNGETIFF, request) < 0) {
      throw this.#libc.error("read the name of a TUN interface", "ioctl TUNGETIFF");
    }
    return nameIn(request);
  }

  /** This and what follows finds the interface by name, so not once it has been moved to another namespace. */
  mtu(): number {
    return new DataView(this.#request(SIOCGIFMTU, "read the MTU", 0).buffer).getInt32(IFREQ.value, true);
  }

  setMtu(mtu: number): void {
    this.#request(SIOCSIFMTU, "set the MTU", mtu);
  }

  /** How many packets wait for a read before the kernel drops more; 500 unless set. */
  setQueueLength(packets: number): void {
    this.#request(SIOCSIFTXQLEN, "set the queue length", packets);
  }

  /**
   * Reads one packet: its virtio header to `offset`, itself behind that. Gives its length without the header, 0 when none
   * waits. There must be room for `TUN_READ_BYTES`.
   */
  read(slab: Slab, offset: number): number {
    const skipped = this.#headerIsReal ? 0 : VNET_HEADER_BYTES;
    this.#readInto.clear();
    if (!this.#readInto.add(slab, offset + skipped, TUN_READ_BYTES - skipped)) throw noRoom(slab, offset);
    const read = this.#libc.call.readv(this.#fd.number, this.#readInto.entries, 1);
    if (read <= 0) return this.#noPacket(read);
    this.counters.readPackets++;
    if (skipped === 0) return read - VNET_HEADER_BYTES;
    slab.bytes.fill(0, offset, offset + VNET_HEADER_BYTES);
    return read;
  }

  /**
   * Writes one packet from its pieces, the first of which begins with the whole virtio header; the pieces are used up.
   * False: it did not go.
   */
  write(packet: Iovec): boolean {
    const hasHeader = this.#headerIsReal || packet.dropFront(VNET_HEADER_BYTES);
    if (hasHeader && this.#libc.call.writev(this.#fd.number, packet.entries, packet.count) >= 0) {
      this.counters.writtenPackets++;
      return true;
    }
    if (hasHeader) this.#note(this.#libc.errno());
    this.counters.refusedPackets++;
    return false;
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
    this.#control[Symbol.dispose]();
  }

  #noPacket(result: number): number {
    if (result === 0) return 0;
    const errno = this.#libc.errno();
    if (errno !== Errno.EAGAIN && errno !== Errno.EINTR) this.#note(errno);
    return 0;
  }

  #note(errno: number): void {
    this.#lastErrno = errno;
    // EBADFD: the descriptor has no interface any more. EIO is one that is down, and it may come up again.
    if (errno === Errno.EBADFD) this.#ended = true;
  }

  #request(code: bigint, action: string, value: number): Uint8Array<ArrayBuffer> {
    const request = requestFor(this.name());
    new DataView(request.buffer).setInt32(IFREQ.value, value, true);
    if (this.#libc.call.ioctl(this.#control.number, code, request) < 0) {
      const errno = this.#libc.errno();
      throw new SysError(`${action} of ${nameIn(request)}`, "ioctl", errno);
    }
    return request;
  }
}

function checkName(name: string): void {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length < 1 || bytes.length >= IFNAMSIZ || /[\s/\0:]/.test(name) || name === "." || name === "..") {
    const rule = `1 to ${IFNAMSIZ - 1} bytes without blanks, slashes and colons`;
    throw new CulvertError("invalid_argument", `Cannot make an interface: its name must be ${rule}, got "${name}"`);
  }
}

/** Binds the descriptor to the interface of this name; false when the kernel does not know the extra flags. */
function attach(libc: Libc, fd: Fd, name: string, flags: number): boolean {
  const request = requestFor(name);
  new DataView(request.buffer).setUint16(IFREQ.flags, IFF_TUN | IFF_NO_PI | flags, true);
  if (libc.call.ioctl(fd.number, TUNSETIFF, request) >= 0) return true;
  const errno = libc.errno();
  if (flags !== 0 && errno === Errno.EINVAL) return false;
  throw new SysError(`make the interface ${name}`, "ioctl TUNSETIFF", errno);
}

/** TCP first, then UDP as well, which is younger (Linux 6.2). */
function setOffload(libc: Libc, fd: Fd): TunOffload {
  const takes = (flags: bigint) => libc.call.ioctlValue(fd.number, TUNSETOFFLOAD, flags) >= 0;
  if (takes(TCP_OFFLOAD | UDP_OFFLOAD)) return { tcp: true, udp: true };
  return { tcp: takes(TCP_OFFLOAD), udp: false };
}

function requestFor(name: string): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(IFREQ.size);
  request.set(new TextEncoder().encode(name));
  return request;
}

function nameIn(request: Uint8Array): string {
  return new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
}

function noRoom(slab: Slab, offset: number): RangeError {
  const got = `offset ${offset} of ${slab.size}`;
  return new RangeError(`Cannot read a packet: there must be room for ${TUN_READ_BYTES} bytes, got ${got}`);
}
