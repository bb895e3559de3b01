/**
 * A netlink socket: one request, or several that belong together, and what the kernel answers.
 *
 *   using socket = new NetlinkSocket(libc, NETLINK_ROUTE); socket.request("list links", encodeListLinks())
 *
 * Synchronous, because the kernel is: it has carried a request out, or begun its list, by the time `send` returns, and
 * makes the rest of a list while we read. So nothing here can wait for long. The socket is connected to the kernel
 * (port id 0), which keeps other programs from answering in its place. netlink(7).
 */

import { NETLINK_HEADER_BYTES, type NetlinkMessage, NLM_F_DUMP_INTR } from "../protocol/netlink.ts";
import { readNetlinkMessages, readVerdict } from "../protocol/netlink.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Bytes } from "../protocol/primitives.ts";
import { Errno, SysError } from "./errno.ts";
import { Fd } from "./fd.ts";
import type { Libc } from "./libc.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
/** Room for what is sent at once, beyond what programs are usually given. */
const SO_SNDBUFFORCE = 32;
const SOL_NETLINK = 270;
/** Answers quote our request by its header only. */
const NETLINK_CAP_ACK = 10;
/** Answers say in words what was wrong (since 4.12). */
const NETLINK_EXT_ACK = 11;
/** Lists are filtered by the kernel (since 4.20). */
const NETLINK_GET_STRICT_CHK = 12;
const SOCKADDR_NL_BYTES = 12;
/** An answer should be there already; this only keeps a fault in the kernel from stopping us for good. */
const ANSWER_S = 10;
/** Twice the most the kernel puts into one read. */
const RECEIVE_BYTES = 65_536;
const RECEIVE_SIZE = BigInt(RECEIVE_BYTES);
/** In the flags of recv: give the true length, so that a cut message is noticed. */
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
/** A list that keeps changing while it is read is given up after so many times. */
const LIST_ATTEMPTS = 20;
/** What fits a socket's room for sending as it is, the kernel's own part included. */
const USUAL_SEND_BYTES = 65_536;
const MAX_SEQUENCE = 2 ** 32 - 1;

/** `struct sockaddr_nl` of the kernel, or of ourselves as listeners to groups. */
export function netlinkAddress(groups = 0): Bytes {
  const address = new Uint8Array(SOCKADDR_NL_BYTES);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(8, groups, true);
  return address;
}

export function openNetlinkFd(libc: Libc, protocol: number, flags = 0): Fd {
  return new Fd(
    libc,
    libc.call.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol),
    "open netlink",
    "socket",
  );
}

/** What the kernel had against one message of several. */
export interface NetlinkRefusal {
  /** Which of the messages. */
  readonly index: number;
  readonly errno: number;
  readonly text?: string;
}

export class NetlinkSocket implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;

  constructor(libc: Libc, protocol: number) {
    this.#libc = libc;
    using guard = new DisposableStack();
    this.#fd = guard.use(openNetlinkFd(libc, protocol));
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) this.#trySwitchOn(option);
    const timeout = new Uint8Array(16);
    new DataView(timeout.buffer).setBigInt64(0, BigInt(ANSWER_S), true);
    if (libc.call.setsockopt(this.#fd.number, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length) < 0) {
      throw libc.error("open netlink", "setsockopt");
    }
    if (libc.call.connect(this.#fd.number, netlinkAddress(), SOCKADDR_NL_BYTES) < 0) {
      throw libc.error("open netlink", "connect");
    }
    guard.move();
  }

  /** Older kernels lack some of them, and all of them can be done without. */
  #trySwitchOn(option: number): void {
    this.#libc.call.setsockopt(this.#fd.number, SOL_NETLINK, option, new Uint8Array([1, 0, 0, 0]), 4);
  }

  /**
   * Sends a request, which must ask for an acknowledgement or a list, and gives the messages it is answered with.
   * Throws SysError when it is refused: `Cannot ${action}: netlink gave EINVAL (…)`.
   */
  request(action: string, message: Bytes): NetlinkMessage[] {
    for (let attempt = 0; attempt < LIST_ATTEMPTS; attempt++) {
      this.#send(action, message);
      const answers = this.#receiveAnswers(action);
      if (answers) return answers;
    }
    throw new CulvertError("changing", `Cannot ${action}: the list changed each of ${LIST_ATTEMPTS} times it was read`);
  }

  /**
   * Sends messages at once that are carried out together or not at all, which only netfilter knows. Gives what it had
   * against them, nothing when it was done. One of the messages must ask for an acknowledgement: an answer of any kind
   * is what tells that they were looked at.
   */
  requestAll(action: string, messages: readonly Bytes[]): NetlinkRefusal[] {
    const first = this.#number(messages);
    this.#sendBytes(action, joined(messages));
    const refusals: NetlinkRefusal[] = [];
    let isAnswered = false;
    for (const message of this.#received(action)) {
      const index = message.sequence - first;
      const verdict = index >= 0 && index < messages.length ? readVerdict(message) : undefined;
      if (!verdict) continue;
      isAnswered = true;
      if (verdict.errno !== 0) refusals.push({ index, ...verdict });
    }
    if (!isAnswered) throw new SysError(action, "netlink", Errno.EPROTO, "it did not answer");
    return refusals;
  }

  /** Numbers messages one after another; gives the first number. */
  #number(messages: readonly Bytes[]): number {
    if (this.#sequence + messages.length > MAX_SEQUENCE) this.#sequence = 0;
    const first = this.#sequence + 1;
    for (const message of messages) {
      new DataView(message.buffer, message.byteOffset).setUint32(8, ++this.#sequence, true);
    }
    return first;
  }

  #send(action: string, message: Bytes): void {
    this.#number([message]);
    this.#sendBytes(action, message);
  }

  #sendBytes(action: string, bytes: Bytes): void {
    if (bytes.length > USUAL_SEND_BYTES) this.#makeRoom(bytes.length);
    const size = BigInt(bytes.length);
    while (this.#libc.call.send(this.#fd.number, bytes, size, 0) < 0) {
      const errno = this.#libc.errno();
      if (errno !== Errno.EINTR) throw new SysError(action, "send", errno);
    }
  }

  /** Only for those who may; for others, sending says that there is no room. */
  #makeRoom(bytes: number): void {
    const value = new Uint8Array(4);
    new DataView(value.buffer).setUint32(0, 2 * bytes, true);
    this.#libc.call.setsockopt(this.#fd.number, SOL_SOCKET, SO_SNDBUFFORCE, value, value.length);
  }

  /** The answers up to the verdict; undefined when they are a list that changed meanwhile. */
  #receiveAnswers(action: string): NetlinkMessage[] | undefined {
    const answers: NetlinkMessage[] = [];
    let isInterrupted = false;
    for (;;) {
      for (const message of this.#receive(action)) {
        if (message.sequence !== this.#sequence) continue;
        if (message.flags & NLM_F_DUMP_INTR) isInterrupted = true;
        const verdict = readVerdict(message);
        if (!verdict) {
          answers.push(message);
          continue;
        }
        if (verdict.errno !== 0) throw new SysError(action, "netlink", verdict.errno, verdict.text);
        return isInterrupted ? undefined : answers;
      }
    }
  }

  /** All that is there to be read. Where the kernel had more to say than the socket holds, the first of it is there. */
  *#received(action: string): Iterable<NetlinkMessage> {
    for (;;) {
      try {
        yield* this.#receive(action, MSG_DONTWAIT);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        if (error.errno === Errno.EAGAIN) return;
        if (error.errno !== Errno.ENOBUFS) throw error;
      }
    }
  }

  #receive(action: string, flags = 0): NetlinkMessage[] {
    for (;;) {
      const length = this.#libc.call.recv(this.#fd.number, this.#buffer, RECEIVE_SIZE, MSG_TRUNC | flags);
      if (length > RECEIVE_BYTES) throw new SysError(action, "recv", Errno.EMSGSIZE);
      if (length >= NETLINK_HEADER_BYTES) return readNetlinkMessages(this.#buffer.slice(0, length));
      const errno = length < 0 ? this.#libc.errno() : Errno.EPROTO;
      if (errno !== Errno.EINTR) throw new SysError(action, "recv", errno);
    }
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

/** Messages one after another, each at a multiple of four bytes. */
function joined(messages: readonly Bytes[]): Bytes {
  const aligned = (length: number) => (length + 3) & ~3;
  const whole = new Uint8Array(messages.reduce((length, message) => length + aligned(message.length), 0));
  let at = 0;
  for (const message of messages) {
    whole.set(message, at);
    at += aligned(message.length);
  }
  return whole;
}
