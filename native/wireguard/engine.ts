/**
 * The userspace WireGuard engine: one thread, one poll loop between a TUN device and a UDP port, with the protocol's
 * machine in the middle. All packets of a turn lie in one slab:
 *
 *   │ read of TUN │ lanes out: batches being sealed │ lanes in: receives being opened │
 *
 *   turn:  poll ─▶ UDP → open → join → TUN   ─▶   some handshakes   ─▶   TUN → split → seal → UDP
 *
 * Each direction moves a bounded amount per turn, so that neither starves the other, and handshakes get a bounded share, so
 * that a flood of them does not stop the packets. Runs in a Worker (`main_userspace.ts`).
 */

import type { Clock } from "../../protocol/clock.ts";
import { Coalescer, type Pieces } from "../../protocol/packet/coalesce.ts";
import { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import { VIRTIO_HEADER_BYTES } from "../../protocol/packet/virtio.ts";

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { Slab } from "../../protocol/slab.ts";
import { HANDSHAKE_DSCP, TRANSPORT_TYPE } from "../../protocol/wireguard/constants.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { Machine } from "../../protocol/wireguard/machine.ts";
import type { DeviceChange, DeviceStatus, Endpoint } from "../../protocol/wireguard/settings.ts";
import { openLibcrypto } from "../crypto.ts";
import { bootTimeMs } from "../boot_time.ts";
import { Iovec } from "../iovec.ts";
import type { RunningEngine } from "../engine_loop.ts";
import { type Libc, openLibc } from "../libc.ts";
import { drainEventFd, POLLIN, PollSet } from "../poll.ts";
import { Tun, TUN_READ_BYTES } from "../tun.ts";
import { UdpPort } from "../udp.ts";
import type { DeviceTalk, EngineOptions } from "./engine_messages.ts";
import { RECEIVE_LANE_BYTES, Receiving } from "./receiving.ts";
import { LANE_BYTES, Sending } from "./sending.ts";

/** So many reads of TUN, receives of each socket, and handshakes in one turn; handshakes get more while nothing else comes. */
const READS_PER_TURN = 64;
const RECEIVES_PER_TURN = 64;
const HANDSHAKES_PER_BUSY_TURN = 4;
const HANDSHAKES_PER_IDLE_TURN = 64;

const LANES_OUT = 4;
const LANES_IN = 8;
/** Two more than a multiple of four: behind the virtio header the packet lies on whole words. */
const READ_AT = 2;
const LANES_OUT_AT = (READ_AT + TUN_READ_BYTES + 15) & ~15;
const LANES_IN_AT = LANES_OUT_AT + LANES_OUT * LANE_BYTES;
const SLAB_BYTES = LANES_IN_AT + LANES_IN * RECEIVE_LANE_BYTES;

/** How many packets wait in the kernel for us to read; the TUN driver's own 500 is too few for bursts of small ones. */
const TUN_QUEUE_PACKETS = 1000;
/** How often the interface is asked whether somebody changed its MTU, while packets flow. */
const MTU_CHECK_MS = 1000;

export interface EngineSettings extends EngineOptions {
  readonly wakeFd: number;
  readonly log: Log;
  readonly clock: Clock;
}

export class Engine implements RunningEngine<DeviceTalk> {
  readonly interfaceName: string;
  readonly #resources: DisposableStack;
  readonly #libc: Libc;
  readonly #nowMs: () => number;
  readonly #settings: EngineSettings;
  readonly #tun: Tun;
  readonly #machine: Machine;
  readonly #sending: Sending;
  readonly #receiving: Receiving;
  readonly #slab = new PacketSlab(SLAB_BYTES);
  readonly #pieces = new Iovec();
  readonly #wakeCounter = new Slab(8);
  readonly #poll: PollSet;
  readonly #pollAt: { readonly wake: number; readonly tun: number; readonly v4: number; readonly v6: number };
  #udp: UdpPort;
  #fwmark = 0;
  #nextMtuCheckMs = 0;
  /** Whether the last check of the MTU failed: it is told once. */
  #isMtuUnknown = false;
  #handshakesWait = false;

  /** Makes the interface and opens a UDP port of the system's choice; throws with nothing left behind. */
  static open(settings: EngineSettings): Engine {
    using resources = new DisposableStack();
    const engine = new Engine(settings, resources);
    engine.#resources.use(resources.move());
    return engine;
  }

  private constructor(settings: EngineSettings, resources: DisposableStack) {
    this.#resources = new DisposableStack();
    this.#settings = settings;
    const libc = this.#libc = resources.use(openLibc());
    this.#nowMs = bootTimeMs(libc);
    const tun = this.#tun = resources.use(Tun.open(libc, { name: settings.name, offload: settings.offload }));
    this.interfaceName = tun.name();
    tun.setMtu(settings.mtu);
    tun.setQueueLength(TUN_QUEUE_PACKETS);
    this.#udp = new UdpPort(libc, { offload: settings.offload });
    resources.defer(() => this.#udp[Symbol.dispose]());
    this.#machine = resources.use(this.#createMachine(resources));
    const slab = this.#slab;
    const machine = this.#machine;
    const sink = { write: (pieces: Pieces) => this.#write(pieces) };
    const coalescer = new Coalescer(slab, { sink, ...tun.offload });
    this.#receiving = new Receiving({ slab, machine, coalescer, lanesAt: LANES_IN_AT, lanes: LANES_IN });
    const batches = {
      queue: (slab: PacketSlab, offset: number, length: number, segmentBytes: number, to: Endpoint) =>
        this.#udp.queue(slab, offset, length, segmentBytes, to),
      flush: () => this.#udp.flush(),
    };
    this.#sending = new Sending({ slab, machine, sink: batches, lanesAt: LANES_OUT_AT, lanes: LANES_OUT });
    this.#setMtu(settings.mtu);
    const poll = this.#poll = new PollSet(libc);
    const [wake, tunAt] = [poll.add(settings.wakeFd), poll.add(tun.fd)];
    this.#pollAt = { wake, tun: tunAt, v4: poll.add(-1), v6: poll.add(-1) };
    this.#watchUdp();
  }

  #createMachine(resources: DisposableStack): Machine {
    const { log, clock, portableCrypto } = this.#settings;
    const native = portableCrypto ? undefined : openLibcrypto();
    if (native) resources.use(native);
    else if (!portableCrypto) log.warn("libcrypto does not load: WireGuard runs with portable primitives, much slower");
    const outlet = {
      send: (packet: Slab, offset: number, length: number, to: Endpoint) =>
        this.#udp.send(packet, offset, length, length, to, isHandshake(packet, offset) ? HANDSHAKE_DSCP : 0),
    };
    return new Machine({
      crypto: native ?? portableWireGuardCrypto,
      random: randomOf(crypto),
      outlet,
      wallNow: () => clock.wallNow(),
      nowMs: this.#nowMs(),
      log,
    });
  }

  /** Waits for something to do and does it; gives how often it was woken. Throws when the interface is gone. */
  turn(): number {
    const machine = this.#machine;
    this.#poll.wait(this.#handshakesWait ? 0 : machine.nextDueMs() - this.#nowMs());
    const nowMs = this.#nowMs();
    machine.advance(nowMs);
    let isBusy = this.#receive();
    this.#handshakesWait = machine.pump(isBusy ? HANDSHAKES_PER_BUSY_TURN : HANDSHAKES_PER_IDLE_TURN);
    isBusy = this.#send() || isBusy;
    if (isBusy && nowMs >= this.#nextMtuCheckMs) this.#checkMtu(nowMs);
    if (this.#tun.ended) throw new CulvertError("interface_removed", `The interface ${this.interfaceName} was removed`);
    return this.#poll.has(this.#pollAt.wake, POLLIN)
      ? drainEventFd(this.#libc, this.#settings.wakeFd, this.#wakeCounter)
      : 0;
  }

  /** What its interface is called. */
  get started(): string {
    return this.interfaceName;
  }

  /** Between two turns. */
  obey(command: DeviceTalk["command"]): DeviceStatus | undefined {
    return command.type === "status" ? this.#status() : void this.#configure(command.change);
  }

  #configure(change: DeviceChange): void {
    const { listenPort, fwmark } = change;
    if (listenPort !== undefined && (listenPort === 0 || listenPort !== this.#udp.port)) this.#listen(listenPort);
    if (fwmark !== undefined) {
      this.#udp.setFwmark(fwmark);
      this.#fwmark = fwmark;
    }
    this.#machine.advance(this.#nowMs());
    this.#machine.configure(change);
  }

  #status(): DeviceStatus {
    return { ...this.#machine.status(), listenPort: this.#udp.port, fwmark: this.#fwmark };
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** UDP to TUN. */
  #receive(): boolean {
    let isBusy = false;
    const { v4, v6 } = this.#udp;
    for (const socket of [v4, v6]) {
      const at = socket === v4 ? this.#pollAt.v4 : this.#pollAt.v6;
      if (!socket || this.#poll.events(at) === 0) continue;
      for (let count = 0; count < RECEIVES_PER_TURN && this.#receiving.take(socket); count++) isBusy = true;
    }
    if (isBusy) this.#receiving.flush();
    return isBusy;
  }

  /** TUN to UDP. */
  #send(): boolean {
    if (this.#poll.events(this.#pollAt.tun) === 0) return false;
    let isBusy = false;
    for (let count = 0; count < READS_PER_TURN; count++) {
      const length = this.#tun.read(this.#slab, READ_AT);
      if (length === 0) break;
      this.#sending.take(READ_AT, VIRTIO_HEADER_BYTES + length);
      isBusy = true;
    }
    if (isBusy) this.#sending.flush();
    return isBusy;
  }

  #write({ count, offsets, lengths }: Pieces): void {
    const pieces = this.#pieces;
    pieces.clear();
    for (let index = 0; index < count; index++) pieces.add(this.#slab, offsets[index]!, lengths[index]!);
    this.#tun.write(pieces);
  }

  /** Opens the new port before the old one goes, so that a port that is taken changes nothing. */
  #listen(port: number): void {
    const udp = new UdpPort(this.#libc, { port, fwmark: this.#fwmark, offload: this.#settings.offload });
    this.#udp[Symbol.dispose]();
    this.#udp = udp;
    this.#watchUdp();
  }

  #watchUdp(): void {
    this.#poll.set(this.#pollAt.v4, this.#udp.v4?.fd ?? -1);
    this.#poll.set(this.#pollAt.v6, this.#udp.v6?.fd ?? -1);
  }

  /** Somebody may have changed it: what is longer than the MTU must not be padded beyond it. */
  #checkMtu(nowMs: number): void {
    this.#nextMtuCheckMs = nowMs + MTU_CHECK_MS;
    try {
      this.#setMtu(this.#tun.mtu());
      this.#isMtuUnknown = false;
    } catch (error) {
      const isNew = !this.#isMtuUnknown && !this.#tun.ended;
      this.#isMtuUnknown = true;
      if (isNew) {
        this.#settings.log.warn("The MTU cannot be read any more and is taken as it was", { error: messageOf(error) });
      }
    }
  }

  #setMtu(mtu: number): void {
    this.#machine.mtu = mtu;
    this.#sending.mtu = mtu;
  }
}

function isHandshake(packet: Slab, offset: number): boolean {
  return packet.bytes[offset] !== TRANSPORT_TYPE;
}
