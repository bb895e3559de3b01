/**
 * The blind relay's engine: one thread that waits for the sockets of all sessions and passes on what comes.
 *
 *   epoll ─▶ for each ready port: receive ─▶ data of a known side? ─▶ the other side, as it came
 *                                            anything else ─▶ looked at, datagram by datagram
 *
 * A port moves a bounded amount per turn and is then ready again behind the others, so that one flow does not starve them.
 * Runs in a Worker (`main_relay.ts`). Which datagram goes where is said by `protocol/wireguard/relay_session.ts`.
 */

import type { Log } from "../../protocol/log.ts";
import { Pace, type PaceLimit } from "../../protocol/pace.ts";
import { answerReflection, REFLECTION_BYTES, REFLECTION_REQUEST_TYPE } from "../../protocol/packets/reflection.ts";
import { randomOf } from "../../protocol/random.ts";
import { Slab } from "../../protocol/slab.ts";
import {
  COOKIE_REPLY_BYTES,
  INITIATION_BYTES,
  INITIATION_TYPE,
  KEEPALIVE_BYTES,
  RESPONSE_BYTES,
  TRANSPORT_TYPE,
} from "../../protocol/wireguard/constants.ts";
import { HandshakeLimiter } from "../../protocol/wireguard/handshake_limiter.ts";
import { type MessageType, messageType } from "../../protocol/wireguard/messages.ts";
import type { RelaySide } from "../../protocol/wireguard/relay_session.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import { bootTimeMs } from "../boot_time.ts";
import type { RunningEngine } from "../engine_loop.ts";
import { Epoll } from "../epoll.ts";
import { type Libc, openLibc } from "../libc.ts";
import { drainEventFd } from "../poll.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import { Inbox, INBOX_SLOTS } from "./inbox.ts";
import { Outbox } from "./outbox.ts";
import type { RelayAnswer, RelayCommand, RelayEngineOptions, RelayTalk } from "./relay_messages.ts";
import { type RelayPort, udpAbilities } from "./relay_port.ts";
import { RelayPorts } from "./relay_ports.ts";

/** What a port may move in one turn: so many receives, or so many bytes. */
const RECEIVES_PER_TURN = 64;
const BYTES_PER_TURN = 1 << 20;

/** Beyond this a port takes initiations of places not known only from hosts that do not send many. */
const CALM: PaceLimit = { perSecond: 2, burst: 4 };
/** Initiations of places not known that all ports together look at: some 5 % of a core. */
const INITIATIONS: PaceLimit = { perSecond: 10_000, burst: 1000 };
/** Of all ports together, and of one: two sides ask a few times. */
const REFLECTIONS: PaceLimit = { perSecond: 1000, burst: 200 };
const PORT_REFLECTIONS: PaceLimit = { perSecond: 20, burst: 40 };

export interface RelayEngineSettings extends RelayEngineOptions {
  readonly wakeFd: number;
  readonly log: Log;
  onLearned(sessionId: string, side: RelaySide, at: Endpoint): void;
}

export class RelayEngine implements RunningEngine<RelayTalk> {
  readonly started = undefined;
  readonly #resources = new DisposableStack();
  readonly #libc: Libc;
  readonly #wakeFd: number;
  readonly #wakeCounter = new Slab(8);
  readonly #nowMs: () => number;
  readonly #epoll: Epoll;
  readonly #ports: RelayPorts;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #initiations = new Pace();
  readonly #initiators = new HandshakeLimiter(randomOf(crypto));
  readonly #reflections = new Pace();
  readonly #reflected = new HandshakeLimiter(randomOf(crypto));
  readonly #answer = new Slab(REFLECTION_BYTES);

  constructor(settings: RelayEngineSettings) {
    using resources = new DisposableStack();
    const libc = this.#libc = resources.use(openLibc());
    this.#nowMs = bootTimeMs(libc);
    this.#wakeFd = settings.wakeFd;
    const abilities = udpAbilities(libc);
    if (!abilities.canSegment) settings.log.warn("The kernel cannot segment UDP: the relay sends datagrams one by one");
    this.#inbox = new Inbox(libc, abilities.isV6);
    this.#outbox = new Outbox(libc, abilities);
    this.#epoll = resources.use(new Epoll(libc));
    this.#epoll.add(settings.wakeFd);
    this.#ports = resources.use(new RelayPorts(libc, this.#epoll, { ...settings, isV6: abilities.isV6 }));
    this.#resources.use(resources.move());
  }

  /** Waits for something to do and does it; gives how often it was woken. */
  turn(): number {
    let woken = 0;
    const ready = this.#epoll.wait(Infinity);
    for (let at = 0; at < ready; at++) {
      const fd = this.#epoll.fd(at);
      const port = this.#ports.byFd(fd);
      if (port) this.#serve(port);
      else if (fd === this.#wakeFd) woken = drainEventFd(this.#libc, fd, this.#wakeCounter);
    }
    return woken;
  }

  /** Between two turns. */
  obey(command: RelayCommand): RelayAnswer {
    switch (command.type) {
      case "open":
        return this.#ports.open(command.session);
      case "place":
        return this.#ports.place(command.sessionId, command.side, command.at);
      case "end":
        return this.#ports.end(command.sessionId);
      case "counts":
        return this.#ports.counts();
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #serve(port: RelayPort): void {
    const inbox = this.#inbox, outbox = this.#outbox;
    const refused = outbox.refusedDatagrams;
    for (let receives = 0, bytes = 0; receives < RECEIVES_PER_TURN && bytes < BYTES_PER_TURN;) {
      // Many slots at once save calls for small datagrams; for 64 KiB each they would fall out of the cache.
      const asked = port.isCoalesced ? 1 : INBOX_SLOTS;
      const count = inbox.receive(port.fd, asked);
      if (count === 0) break;
      port.isCoalesced = false;
      for (let slot = 0; slot < count; slot++) {
        bytes += inbox.length(slot);
        this.#relay(port, slot);
      }
      outbox.flush();
      receives += count;
      if (count < asked) break;
    }
    port.droppedDatagrams += outbox.refusedDatagrams - refused;
  }

  /** The datagrams of one slot, all from one place. */
  #relay(port: RelayPort, slot: number): void {
    const inbox = this.#inbox, { clientAt, exitAt } = port.session;
    const offset = inbox.offset(slot), length = inbox.length(slot), segmentBytes = inbox.segmentBytes(slot);
    if (segmentBytes < length) port.isCoalesced = true;
    const from = this.#knownPlace(port, slot);
    const to = from === clientAt ? exitAt : clientAt;
    if (from === undefined || to === undefined || !isAllData(inbox.data, offset, length, segmentBytes)) {
      return this.#lookAtEach(port, slot);
    }
    if (to === exitAt) port.toExitBytes += length;
    else port.toClientBytes += length;
    this.#outbox.add(port.fd, inbox.data, offset, length, segmentBytes, to, inbox.tos(slot));
  }

  /** The side that the datagrams of a slot came from, if they did from one. */
  #knownPlace(port: RelayPort, slot: number): UdpEndpoint | undefined {
    const { clientAt, exitAt } = port.session;
    if (clientAt !== undefined && this.#inbox.isFrom(slot, clientAt)) return clientAt;
    return exitAt !== undefined && this.#inbox.isFrom(slot, exitAt) ? exitAt : undefined;
  }

  #lookAtEach(port: RelayPort, slot: number): void {
    const offset = this.#inbox.offset(slot), end = offset + this.#inbox.length(slot);
    const segmentBytes = this.#inbox.segmentBytes(slot);
    for (let at = offset; at < end; at += segmentBytes) {
      // Asked again for each: the first may be what makes the place known.
      this.#lookAt(port, slot, at, Math.min(segmentBytes, end - at), this.#knownPlace(port, slot));
    }
  }

  #lookAt(port: RelayPort, slot: number, offset: number, length: number, from: UdpEndpoint | undefined): void {
    const inbox = this.#inbox, { session } = port;
    const type = messageType(inbox.data.view, offset, length);
    if (type === 0 && this.#reflect(port, slot, offset, length)) return;
    if (type === 0 || (!from && !this.#mayMatter(port, slot, offset, type))) {
      port.droppedDatagrams++;
      return;
    }
    if (from && type !== TRANSPORT_TYPE) inbox.refreshOurAddress(slot, from);
    const places = session.take(inbox.data, offset, length, from ?? inbox.place(slot), this.#nowMs());
    if (places.length === 0) port.droppedDatagrams++;
    for (const to of places) {
      if (to === session.exitAt) port.toExitBytes += length;
      else if (to === session.clientAt) port.toClientBytes += length;
      this.#outbox.add(port.fd, inbox.data, offset, length, length, to, inbox.tos(slot));
    }
  }

  /** Sifts what comes from a place not known, before anything is made of it. */
  #mayMatter(port: RelayPort, slot: number, offset: number, type: MessageType): boolean {
    const inbox = this.#inbox;
    const nowMs = this.#nowMs();
    if (!port.session.isAwaited(inbox.data, offset, type, nowMs)) return false;
    if (type !== INITIATION_TYPE) return true;
    const isCalm = port.initiations.allow(CALM, nowMs) || this.#initiators.allow(inbox.host(slot), nowMs);
    return isCalm && this.#initiations.allow(INITIATIONS, nowMs);
  }

  /** Says where it saw whoever asked; false when it was no such question, or one too many. */
  #reflect(port: RelayPort, slot: number, offset: number, length: number): boolean {
    const inbox = this.#inbox;
    if (length !== REFLECTION_BYTES || inbox.data.bytes[offset] !== REFLECTION_REQUEST_TYPE) return false;
    const nowMs = this.#nowMs();
    const isAllowed = this.#reflected.allow(inbox.host(slot), nowMs) &&
      port.reflections.allow(PORT_REFLECTIONS, nowMs) && this.#reflections.allow(REFLECTIONS, nowMs);
    if (!isAllowed) return false;
    const place = inbox.place(slot);
    const answer = answerReflection(inbox.data.bytes.subarray(offset, offset + length), place);
    if (!answer) return false;
    this.#outbox.flush();
    this.#answer.bytes.set(answer);
    this.#outbox.add(port.fd, this.#answer, 0, REFLECTION_BYTES, REFLECTION_BYTES, place, inbox.tos(slot));
    this.#outbox.flush();
    return true;
  }
}

/**
 * Whether all the datagrams are data messages. All but the last are equally long, so where that is not the length of
 * another kind of message, only the first and the last can be anything else.
 */
function isAllData(data: Slab, offset: number, length: number, segmentBytes: number): boolean {
  const { view } = data;
  if (segmentBytes < KEEPALIVE_BYTES || view.getUint32(offset, true) !== TRANSPORT_TYPE) return false;
  if (length <= segmentBytes) return true;
  const lastBytes = length % segmentBytes || segmentBytes, lastAt = offset + length - lastBytes;
  if (lastBytes < KEEPALIVE_BYTES || view.getUint32(lastAt, true) !== TRANSPORT_TYPE) return false;
  if (!mayBeAnother(segmentBytes)) return true;
  for (let at = offset + segmentBytes; at < lastAt; at += segmentBytes) {
    if (view.getUint32(at, true) !== TRANSPORT_TYPE) return false;
  }
  return true;
}

function mayBeAnother(bytes: number): boolean {
  return bytes === INITIATION_BYTES || bytes === RESPONSE_BYTES || bytes === COOKIE_REPLY_BYTES ||
    bytes === REFLECTION_BYTES;
}
