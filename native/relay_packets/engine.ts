/**
 * The packet relay's engine: one thread that waits for its socket and leads on what comes.
 *
 *   epoll ─▶ receive ─▶ for each datagram: a ticket of ours that joins where it came from to another place? ─▶ there
 *                                          a question of a client? ─▶ its answer, back
 *                                          anything else ─▶ dropped and counted
 *
 * Datagrams that the kernel handed over as one, and that go to one place, leave as one: only a byte of each has changed.
 * What decides is `protocol/sealed_route/`; nothing is kept of places or flows. Runs in a Worker (`main_relay_packets.ts`).
 */

import type { Log } from "../../protocol/log.ts";
import type { RouteDesk } from "../../protocol/sealed_route/desk.ts";
import { type RouteForwarder, type RouteTime, Verdict } from "../../protocol/sealed_route/forwarder.ts";
import { takeAddress } from "../../protocol/sealed_route/ticket.ts";
import { Slab } from "../../protocol/slab.ts";
import { bootTimeMs } from "../boot_time.ts";
import type { RunningEngine } from "../engine_loop.ts";
import { Epoll } from "../epoll.ts";
import { type Libc, openLibc } from "../libc.ts";
import { drainEventFd } from "../poll.ts";
import { Inbox, INBOX_SLOTS } from "../relay/inbox.ts";
import { udpAbilities } from "../relay/relay_port.ts";
import { V4_MAPPED_WORD } from "../relay/relay_place.ts";
import {
  DROP_REASONS,
  type PacketRelayCounts,
  type PacketRelayEngineOptions,
  type PacketRelayTalk,
} from "./messages.ts";
import { RouteOutbox } from "./outbox.ts";
import { openRoutes } from "./routes.ts";
import { openSocket, type PacketRelaySocket } from "./socket.ts";

/** How often it receives before it asks whether it is to do something else. */
const RECEIVES_PER_TURN = 256;

export interface PacketRelayEngineSettings extends PacketRelayEngineOptions {
  readonly wakeFd: number;
  readonly log: Log;
}

export class PacketRelayEngine implements RunningEngine<PacketRelayTalk> {
  readonly started: { readonly port: number };
  readonly #resources: DisposableStack;
  readonly #libc: Libc;
  readonly #wakeFd: number;
  readonly #wakeCounter = new Slab(8);
  readonly #bootMs: () => number;
  readonly #epoll: Epoll;
  readonly #socket: PacketRelaySocket;
  readonly #inbox: Inbox;
  readonly #outbox: RouteOutbox;
  readonly #forwarder: RouteForwarder;
  readonly #desk: RouteDesk;
  readonly #isV6: boolean;
  readonly #time: RouteTime = { nowMs: 0, wallMs: 0 };
  /** Where the datagrams of a slot come from, and where those of a run go. */
  readonly #from = Uint32Array.of(0, 0, V4_MAPPED_WORD, 0);
  readonly #fromBytes = new Uint8Array(this.#from.buffer);
  readonly #runTo = new Uint32Array(4);
  #fromPort = 0;
  readonly #dropped = new Float64Array(Verdict.limited + 1);
  #isCoalesced = false;

  constructor(settings: PacketRelayEngineSettings) {
    using resources = new DisposableStack();
    const libc = this.#libc = resources.use(openLibc());
    this.#bootMs = bootTimeMs(libc);
    this.#wakeFd = settings.wakeFd;
    const abilities = udpAbilities(libc);
    this.#isV6 = abilities.isV6;
    this.#inbox = new Inbox(libc, abilities.isV6);
    this.#outbox = new RouteOutbox(libc, abilities);
    this.#epoll = resources.use(new Epoll(libc));
    this.#epoll.add(settings.wakeFd);
    this.#socket = openSocket(libc, abilities.isV6, settings);
    resources.use(this.#socket.fd);
    this.#epoll.add(this.#socket.fd.number);
    this.started = { port: this.#socket.port };
    const routes = resources.use(openRoutes(settings, abilities));
    this.#forwarder = routes.forwarder;
    this.#desk = routes.desk;
    if (routes.isSlow) settings.log.warn("There is no libcrypto: the relay opens tickets ten times slower");
    this.#resources = resources.move();
  }

  turn(): number {
    let woken = 0;
    const ready = this.#epoll.wait(Infinity);
    for (let at = 0; at < ready; at++) {
      const fd = this.#epoll.fd(at);
      if (fd === this.#wakeFd) woken = drainEventFd(this.#libc, fd, this.#wakeCounter);
      else this.#serve(fd);
    }
    return woken;
  }

  obey(_command: "counts"): PacketRelayCounts {
    const { answered: [granted = 0, closed = 0, busy = 0, clock = 0], ignored } = this.#desk;
    const { sentDatagrams, sentBytes, refusedDatagrams } = this.#outbox;
    const dropped = DROP_REASONS.map((reason) =>
      [reason, reason === "refused" ? refusedDatagrams : this.#dropped[Verdict[reason]]!] as const
    );
    return {
      forwardedPackets: sentDatagrams,
      forwardedBytes: sentBytes,
      dropped: Object.fromEntries(dropped) as PacketRelayCounts["dropped"],
      questions: { granted, closed, busy, clock, ignored },
    };
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #serve(fd: number): void {
    const inbox = this.#inbox, outbox = this.#outbox;
    outbox.open(fd);
    this.#time.nowMs = this.#bootMs();
    this.#time.wallMs = Date.now();
    for (let receives = 0; receives < RECEIVES_PER_TURN;) {
      // Many slots at once save calls for small datagrams; for 64 KiB each they would fall out of the cache.
      const asked = this.#isCoalesced ? 1 : INBOX_SLOTS;
      const count = inbox.receive(fd, asked);
      this.#isCoalesced = false;
      for (let slot = 0; slot < count; slot++) this.#lead(slot);
      outbox.flush();
      receives += count;
      if (count < asked) break;
    }
  }

  /** The datagrams of one slot, all from one place. What goes to one place in a row goes together. */
  #lead(slot: number): void {
    const inbox = this.#inbox, forwarder = this.#forwarder;
    const begin = inbox.offset(slot), end = begin + inbox.length(slot), segmentBytes = inbox.segmentBytes(slot);
    if (segmentBytes < end - begin) this.#isCoalesced = true;
    this.#comeFrom(slot);
    let runAt = begin, runToPort = 0;
    const runTo = this.#runTo;
    for (let at = begin; at < end; at += segmentBytes) {
      const next = Math.min(at + segmentBytes, end);
      const verdict = forwarder.take(inbox.data, at, next, this.#time);
      const isOn = verdict === Verdict.forward;
      if (runToPort !== 0 && !(isOn && forwarder.toPort === runToPort && forwarder.leadsTo(runTo))) {
        this.#send(slot, runAt, at, runTo, runToPort);
        runToPort = 0;
      }
      if (isOn && runToPort === 0) {
        runAt = at;
        runToPort = forwarder.toPort;
        for (let word = 0; word < 4; word++) runTo[word] = forwarder.toWords[forwarder.toAt + word]!;
      }
      if (verdict === Verdict.own) this.#answer(at, next);
      else if (!isOn) this.#dropped[verdict]!++;
    }
    if (runToPort !== 0) this.#send(slot, runAt, end, runTo, runToPort);
  }

  #send(slot: number, offset: number, end: number, words: Uint32Array, port: number): void {
    const inbox = this.#inbox;
    this.#outbox.add(inbox.data, offset, end - offset, inbox.segmentBytes(slot), inbox.tos(slot), words, 0, port);
  }

  #answer(at: number, end: number): void {
    const inbox = this.#inbox, from = this.#from;
    const address = takeAddress(this.#fromBytes, 0);
    if (!this.#desk.answer(inbox.data, at, end, { address, port: this.#fromPort }, this.#time)) return;
    this.#outbox.add(inbox.data, at, end - at, end - at, 0, from, 0, this.#fromPort);
  }

  /** Tells the forwarder where the datagrams of a slot come from. */
  #comeFrom(slot: number): void {
    const { words } = this.#inbox.names, at = this.#inbox.nameAt(slot), from = this.#from;
    const name = words[at]!;
    this.#fromPort = (name >>> 8 & 0xff00) | name >>> 24;
    if (this.#isV6) { for (let word = 0; word < 4; word++) from[word] = words[at + 2 + word]!; }
    else from[3] = words[at + 1]!;
    this.#forwarder.comesFrom(from, 0, this.#fromPort);
  }
}
