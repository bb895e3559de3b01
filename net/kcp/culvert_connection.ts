/**
 * One session of our own dialect from the client's side, as a Link: drives the machine of `client.ts` with carriers and a
 * clock, and KCP over it.
 *
 *   openCulvertLink(…) → a carrier → hello, answer → KcpLink
 *
 * The session outlives its carriers. Every now and then, and when nothing comes back, it goes on from another port to another
 * port of the server; what still comes to the carrier before is taken for some seconds, so nothing is lost by it. When the
 * session ends, so does the link, with the reason; when the link ends, the server is told.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { portsOf, type PortSpan } from "../../protocol/port_span.ts";
import type { Random } from "../../protocol/random.ts";
import { randomInt } from "../../protocol/random.ts";
import { SealedClient, type SealedClientOptions } from "../../protocol/sealed_packets/client.ts";
import { PACKET_HEAD_BYTES, PACKET_TAIL_BYTES } from "../../protocol/sealed_packets/packet_epoch.ts";
import { Word } from "../../protocol/sealed_packets/session_words.ts";
import type { Slab } from "../../protocol/slab.ts";
import { culvertKcp, type CulvertKcpSettings, kcpBytes, RoutedSender, sayWord, sendBytes } from "./culvert_session.ts";
import { KcpLink } from "./kcp_link.ts";

export interface CulvertLinkOptions extends SealedClientOptions {
  readonly settings: CulvertKcpSettings;
  /** The server's address. */
  readonly host: string;
  readonly ports: PortSpan;
  /** Opens a carrier to the server, from a port of its own. */
  openCarrier(signal: AbortSignal): Promise<PacketCarrier>;
  /** Closes one that was opened so. */
  closeCarrier(carrier: PacketCarrier): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The server's clock and ours differ so much. */
  onClock?(behindMs: number): void;
  /** The session has new keys, or has moved to other ports. */
  onEvent?(event: "renewed" | "hopped" | "silent"): void;
  /** The server has not answered although it was asked, how often in a row; 0: it does again, or the session is over. */
  onSilence?(times: number): void;
}

/** How long what was sent to the carrier before may be on its way. */
const LINGER_MS = 5_000;
/** Carriers that linger at once; a carrier may take a thread to wait in. */
const MOST_LINGERING = 3;
const MIN_TIMER_MS = 1;
/** The mux notices silence by itself; KCP alone gives up after so long. */
const SILENCE_MS = 30_000;

/** Twice nothing has come of what the session does about silence: that takes some four seconds. */
export const TOLD_SILENCES = 2;

/** A link to the server, not yet started. Rejects with a DialError that says why there is none. */
export async function openCulvertLink(options: CulvertLinkOptions, signal: AbortSignal): Promise<KcpLink> {
  signal.throwIfAborted();
  const carrier = await options.openCarrier(signal);
  const connection = new CulvertConnection(options, carrier);
  const onAbort = () => connection.close(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal.aborted) onAbort();
    return await connection.up;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

class CulvertConnection {
  readonly #options: CulvertLinkOptions;
  readonly #client: SealedClient;
  readonly #up = Promise.withResolvers<KcpLink>();
  readonly #isOver = new AbortController();
  readonly #lingering = new Map<PacketCarrier, Timer>();
  readonly #ports: readonly number[];
  #portAt: number;
  carrier: PacketCarrier;
  place: PacketPlace;
  #link: KcpLink | undefined;
  #isHeard = false;
  #isChanging = false;
  /** In a row. */
  #silences = 0;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;

  constructor(options: CulvertLinkOptions, carrier: PacketCarrier) {
    const { clock, ports, host, random } = options;
    this.#options = options;
    this.#ports = portsOf(ports);
    this.#portAt = randomInt(random, this.#ports.length);
    this.carrier = carrier;
    this.place = carrier.place(host, this.#ports[this.#portAt]!);
    this.#client = new SealedClient(options, {
      hello: (bytes) => sendBytes(this, bytes),
      hop: (isSilent) => this.#hop(isSilent),
      onUp: () => this.#begin(),
      onRenewed: () => {
        options.onEvent?.("renewed");
        this.#say(Word.HERE);
      },
      onOver: (reason) => this.close(reason),
      onClockWrong: (behindMs) => options.onClock?.(behindMs),
    }, clock.now());
    this.#listen(carrier);
    this.#tick();
  }

  /** Rejects when there will be none. */
  get up(): Promise<KcpLink> {
    return this.#up.promise;
  }

  /** Ends it, and its link with that reason. */
  close(reason: unknown): void {
    if (this.#isOver.signal.aborted) return;
    this.#isOver.abort(reason);
    this.#endSilence();
    if (!this.#client.isOver) this.#say(Word.CLOSED);
    this.#timer?.cancel();
    this.#client[Symbol.dispose]();
    for (const carrier of [...this.#lingering.keys()]) this.#dismiss(carrier);
    this.#options.closeCarrier(this.carrier);
    this.#up.reject(reason);
    this.#link?.fail(reason);
  }

  #begin(): void {
    const { settings, clock, random } = this.#options;
    this.#say(Word.HERE);
    this.#link = new KcpLink({
      carrier: new RoutedSender(this, () => this.#sent()),
      place: this.place,
      seal: this.#client.keys!,
      kcp: culvertKcp(kcpBytes([this.carrier], settings), settings, { random, nowMs: clock.now() }),
      clock,
      silenceMs: SILENCE_MS,
      onEnd: () => this.close(undefined),
    });
    this.#up.resolve(this.#link);
  }

  #listen(carrier: PacketCarrier): void {
    const { clock } = this.#options;
    carrier.start({
      onPacket: (slab, start, end) => this.#receive(slab, start, end, clock.now()),
      onTurn: () => this.#turn(),
      onClose: (error) => {
        if (carrier !== this.carrier || this.#isOver.signal.aborted) return;
        this.#options.log.debug("A carrier has ended", { error: error === undefined ? undefined : messageOf(error) });
        this.#change();
      },
    });
  }

  #receive(slab: Slab, start: number, end: number, nowMs: number): void {
    if (!this.#client.receive(slab, start, end, nowMs)) return;
    this.#isHeard = true;
    this.#link!.receiveOpened(slab, start + PACKET_HEAD_BYTES, end - PACKET_TAIL_BYTES);
  }

  #turn(): void {
    if (this.#silences > 0 && !this.#client.isAwaiting) this.#endSilence();
    if (this.#isHeard) {
      this.#isHeard = false;
      this.#link?.turn();
    }
    this.#setTimer();
  }

  #endSilence(): void {
    if (this.#silences >= TOLD_SILENCES) this.#options.onSilence?.(0);
    this.#silences = 0;
  }

  #sent(): void {
    if (this.#client.isAwaiting) return;
    this.#client.sent(this.#options.clock.now());
    this.#setTimer();
  }

  #say(word: Word): void {
    const { keys } = this.#client;
    if (keys) sayWord(this, keys, word, this.#options.random);
  }

  #tick(): void {
    const { clock } = this.#options;
    this.#client.tick(clock.now(), clock.wallNow());
    this.#setTimer();
  }

  /** One timer, which is moved only when something is due before it. */
  #setTimer(): void {
    if (this.#isOver.signal.aborted) return;
    const { clock } = this.#options;
    const atMs = this.#client.nextTickMs;
    if (this.#timer && this.#timerAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = atMs;
    if (atMs === Infinity) return;
    this.#timer = clock.after(Math.max(MIN_TIMER_MS, Math.ceil(atMs - clock.now())), () => {
      this.#timer = undefined;
      this.#tick();
    });
  }

  /** Goes on to another port of the server, and once there is a session from another of ours. */
  #hop(isSilent: boolean): void {
    const { random, host, onEvent } = this.#options;
    const others = this.#ports.length - 1;
    if (others > 0) this.#portAt = (this.#portAt + 1 + randomInt(random, others)) % this.#ports.length;
    this.place = this.carrier.place(host, this.#ports[this.#portAt]!);
    if (!this.#link) return;
    onEvent?.(isSilent ? "silent" : "hopped");
    if (isSilent && ++this.#silences >= TOLD_SILENCES) this.#options.onSilence?.(this.#silences);
    this.#change();
  }

  async #change(): Promise<void> {
    if (this.#isChanging) return;
    this.#isChanging = true;
    const { signal } = this.#isOver;
    try {
      const next = await this.#options.openCarrier(signal);
      if (signal.aborted) return this.#options.closeCarrier(next);
      this.#linger(this.carrier);
      this.carrier = next;
      this.place = next.place(this.#options.host, this.#ports[this.#portAt]!);
      this.#listen(next);
      // The server is to know the new place at once, not when there is next something to say.
      this.#say(Word.HERE);
    } catch (error) {
      if (!signal.aborted) this.#options.log.debug("Cannot open another carrier", { error: messageOf(error) });
    } finally {
      this.#isChanging = false;
    }
  }

  #linger(carrier: PacketCarrier): void {
    const timer = this.#options.clock.after(LINGER_MS, () => this.#dismiss(carrier));
    this.#lingering.set(carrier, timer);
    if (this.#lingering.size > MOST_LINGERING) this.#dismiss(this.#lingering.keys().next().value!);
  }

  #dismiss(carrier: PacketCarrier): void {
    this.#lingering.get(carrier)?.cancel();
    this.#lingering.delete(carrier);
    this.#options.closeCarrier(carrier);
  }
}
