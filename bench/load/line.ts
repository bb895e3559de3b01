/**
 * A line between two network namespaces with a bandwidth, a queue, a delay and losses, for anything that is IP: two TAP
 * devices, each to be moved into a namespace, whose frames go from one to the other when `PacketLine` says so. The
 * kernel's own TCP, raw packets and UDP meet the very same bottleneck. What the line counts are the bytes of IP.
 *
 *   namespace a │ device ⇄ line a→b, line b→a ⇄ device │ namespace b
 *
 * The kernel cuts and checksums what it sends on such a device, so frames here are those of a wire. It does what the lines
 * of its standard input say and answers each with a line of JSON:
 *
 *   shape {"up": {…}, "down": {…}}      these conditions from now on; a → b is up            {"shaped": true}
 *   forget                              counts from now on                                   {"forgot": true}
 *   waits                               how long packets waited, and what became of them     {"up": {…}, "down": {…}}
 *
 * A thread of its own that polls; poll ticks in milliseconds, and what is due within one leaves together.
 */

import { Slab } from "../../protocol/slab.ts";
import { Fd } from "../../native/fd.ts";
import { IFREQ, putU64 } from "../../native/layout.ts";
import { addressOf, cString, type Libc, openLibc } from "../../native/libc.ts";
import { PollSet } from "../../native/poll.ts";
import { NEVER, PacketLine } from "../../testing/packet_line.ts";
import { PacketQueue } from "../../testing/packet_queue.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";

const O_RDWR_NONBLOCK = 2 | 0o4000 | 0o2000000;
const TUNSETIFF = 0x400454can;
const IFF_TAP_NO_PI = 0x0002 | 0x1000;
const ETHERNET_BYTES = 14;
const FRAME_BYTES = 2048;
const FRAME_SIZE = BigInt(FRAME_BYTES);
const QUEUE_BYTES = 128 * 1024 * 1024;
/** Frames taken from one device before the other has its turn. */
const MOST_AT_ONCE = 128;

/** Names of at most 15 bytes. */
export function serveLine(names: { readonly a: string; readonly b: string }, print: (line: unknown) => void): void {
  using libc = openLibc();
  using a = new Tap(libc, names.a);
  using b = new Tap(libc, names.b);
  const random = new SeededRandom(1);
  const [up, down] = [new Way(a, b, new PacketLine(random, {})), new Way(b, a, new PacketLine(random, {}))];
  const poll = new PollSet(libc);
  const [aAt, bAt, inputAt] = [poll.add(a.fd), poll.add(b.fd), poll.add(0)];
  print({ ready: true });
  for (;;) {
    poll.wait(Math.min(up.nextDueMs, down.nextDueMs) - performance.now());
    if (poll.events(inputAt) !== 0 && !obey(up.line, down.line, print)) return;
    if (poll.events(aAt) !== 0) up.receive();
    if (poll.events(bAt) !== 0) down.receive();
    up.release();
    down.release();
  }
}

/** A device in Ethernet's manner. Removed with its descriptor, in whichever namespace it is by then. */
class Tap implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #frame = new Slab(FRAME_BYTES);

  constructor(libc: Libc, name: string) {
    this.#libc = libc;
    const path = cString("/dev/net/tun");
    this.#fd = new Fd(libc, libc.call.open(path, O_RDWR_NONBLOCK), "open /dev/net/tun", "open");
    const request = new Slab(IFREQ.size);
    request.bytes.set(new TextEncoder().encode(name));
    request.view.setUint16(IFREQ.flags, IFF_TAP_NO_PI, true);
    if (libc.call.ioctl(this.#fd.number, TUNSETIFF, request.bytes) < 0) {
      throw libc.error(`make the interface ${name}`, "ioctl TUNSETIFF");
    }
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** The length of the frame that is now at the beginning of `frame`; 0 or less when none waits. */
  read(): number {
    return this.#libc.call.read(this.#fd.number, this.#frame.bytes, FRAME_SIZE);
  }

  get frame(): Uint8Array {
    return this.#frame.bytes;
  }

  write(vector: Slab): void {
    this.#libc.call.writev(this.#fd.number, vector.bytes, 1);
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

/** One direction. */
class Way {
  readonly line: PacketLine;
  readonly #from: Tap;
  readonly #to: Tap;
  readonly #queue = new PacketQueue(QUEUE_BYTES);
  readonly #queueAddress = Number(addressOf(this.#queue.bytes));
  readonly #vector = new Slab(16);

  constructor(from: Tap, to: Tap, line: PacketLine) {
    this.#from = from;
    this.#to = to;
    this.line = line;
  }

  get nextDueMs(): number {
    return this.#queue.nextDueMs;
  }

  /** Takes what waits, or as much of it as the other direction need not wait for. */
  receive(): void {
    const nowMs = performance.now();
    for (let count = 0; count < MOST_AT_ONCE; count++) {
      const length = this.#from.read();
      if (length <= 0) return;
      const dueMs = this.line.admit(Math.max(0, length - ETHERNET_BYTES), nowMs);
      if (dueMs !== NEVER) this.#queue.push(this.#from.frame.subarray(0, length), 0, dueMs);
    }
  }

  release(): void {
    const nowMs = performance.now();
    const { view } = this.#vector;
    while (this.#queue.take(nowMs)) {
      putU64(view, 0, this.#queueAddress + this.#queue.start);
      putU64(view, 8, this.#queue.end - this.#queue.start);
      this.#to.write(this.#vector);
    }
  }
}

/** False once standard input has ended. */
function obey(up: PacketLine, down: PacketLine, print: (line: unknown) => void): boolean {
  const input = new Uint8Array(65_536);
  const length = Deno.stdin.readSync(input);
  if (length === null) return false;
  for (const line of new TextDecoder().decode(input.subarray(0, length)).split("\n").filter(Boolean)) {
    const [what, ...rest] = line.split(" ");
    if (what === "shape") {
      const conditions = JSON.parse(rest.join(" "));
      up.conditions = conditions.up;
      down.conditions = conditions.down;
      print({ shaped: true });
    } else if (what === "forget") {
      up.forget();
      down.forget();
      print({ forgot: true });
    } else if (what === "waits") {
      print({ up: told(up), down: told(down) });
    }
  }
  return true;
}

function told(line: PacketLine): object {
  const { admitted, dropped, lost } = line;
  return { p50Ms: line.waitQuantileMs(0.5), p95Ms: line.waitQuantileMs(0.95), admitted, dropped, lost };
}
