/**
 * An exit's side of direct connections, for all its clients: answers what they offer inside the tunnel, then asks at the
 * places they named, so that the exit's NAT lets theirs in, and answers their probes for as long as they ask.
 *
 *   using punch: gateway hears punch.offer ──→ answer(offer, client) ──→ punch.answer; probes go beside the device's port
 *
 * The device is not touched: it follows a client that sends from elsewhere. While a client is direct, the relay is asked for
 * a reflection now and then, so that the way back through it stays open. One raw socket and one timer serve all; without
 * clients that are direct, or about to be, there is neither timer nor traffic.
 */

import type { WireGuardDevice } from "../../native/wireguard/device.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { decodeBase64, encodeBase64 } from "../../protocol/encoding.ts";
import { type Cidr, equalIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import { readCandidates } from "../../protocol/packets/punch_candidates.ts";
import { PUNCH_ROUND_MS } from "../../protocol/packets/punch_client.ts";
import { PunchExit } from "../../protocol/packets/punch_exit.ts";
import type { PunchAnswer, PunchOffer } from "../../protocol/packets/punch_offer.ts";
import { probeId, ProbeKeys } from "../../protocol/packets/punch_probe.ts";
import type { Random } from "../../protocol/random.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import { ownPlaces } from "./own_places.ts";
import { type OpenProbePort, openProbePort, type ProbePort } from "./probe_port.ts";
import { Reflections, REMIND_MS } from "./reflections.ts";

export interface PunchResponderOptions {
  readonly device: WireGuardDevice;
  /** Where the device is reached from outside, if its keeper knows. */
  readonly endpoint?: Endpoint;
  /** What is inside the tunnel: nothing is ever sent there. */
  readonly tunnels?: readonly Cidr[];
  readonly mark?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly openPort?: OpenProbePort;
}

/** Who offers, as WireGuard has proven it. */
export interface PunchingClient {
  readonly key: Key;
  /** The relay port through which the exit reaches it. */
  readonly relayAt: Endpoint;
}

/** A client that is refused may come back so much later. */
const OFFER_RATE = { perSecond: 1 / 5, burst: 3 };
const RETRY_MS = 5_000;
/** A client that has not asked for so long is not direct, or no longer. */
const SILENCE_MS = 15_000;
const IDLE_TICK_MS = 1_000;
/** Where there could be no port there may be one later. */
const REOPEN_MS = 30_000;
/** Clients with a punch; more than any exit has addresses to be used at once. */
const MAX_CLIENTS = 65_536;

interface Served {
  readonly offers: TokenBucket;
  readonly relayAt: Endpoint;
  readonly offerId: string;
  answer: Promise<PunchAnswer>;
  punch?: PunchExit;
  remindedAtMs: number;
}

export class PunchResponder implements AsyncDisposable {
  readonly #options: PunchResponderOptions;
  readonly #stop = new AbortController();
  /** By the client's key. */
  readonly #clients = new Map<string, Served>();
  /** By the id in their probes. */
  readonly #punches = new Map<string, PunchExit>();
  readonly #reflections: Reflections;
  #opening: Promise<ProbePort | undefined> | undefined;
  /** When to try again. */
  #reopenAtMs = Infinity;
  #hasWarned = false;
  #port: ProbePort | undefined;
  #timer: Timer | undefined;

  constructor(options: PunchResponderOptions) {
    const { clock, random } = options;
    this.#options = options;
    this.#reflections = new Reflections({ clock, random, send: (bytes, to) => void this.#port?.send(bytes, to) });
  }

  /** How many clients a way without the relay was found to, and is still. */
  get directClients(): number {
    let count = 0;
    for (const punch of this.#punches.values()) if (punch.isHeard) count++;
    return count;
  }

  /** What to answer an offer with; the same offer again has the same answer. */
  answer(offer: PunchOffer, client: PunchingClient): Promise<PunchAnswer> {
    const name = client.key.toHex();
    const known = this.#clients.get(name);
    if (known?.offerId === offer.id) return known.answer;
    const offers = known?.offers ?? new TokenBucket(this.#options.clock, OFFER_RATE);
    const isTooMany = known === undefined && this.#clients.size >= MAX_CLIENTS;
    if (isTooMany || !offers.tryTake()) return Promise.resolve(refusal(offer, RETRY_MS));
    this.#forgetPunch(known);
    const served: Served = {
      offers,
      relayAt: client.relayAt,
      offerId: offer.id,
      answer: Promise.resolve(refusal(offer)),
      remindedAtMs: this.#options.clock.now(),
    };
    this.#clients.set(name, served);
    const isCurrent = () => this.#clients.get(name) === served;
    return served.answer = this.#begin(offer, served, isCurrent).catch(() => refusal(offer));
  }

  /** The client is gone. */
  forget(key: Key): void {
    this.#forgetPunch(this.#clients.get(key.toHex()));
    this.#clients.delete(key.toHex());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("It is closed"));
    this.#timer?.cancel();
    this.#clients.clear();
    this.#punches.clear();
    await (await this.#opening)?.[Symbol.asyncDispose]();
  }

  async #begin(offer: PunchOffer, served: Served, isCurrent: () => boolean): Promise<PunchAnswer> {
    const { random, clock, tunnels, endpoint } = this.#options;
    const port = await this.#portForAll();
    const clientSecret = decodeBase64(offer.secret);
    if (!port || !clientSecret) return refusal(offer);
    const reflexive = await this.#reflections.ask(served.relayAt, this.#stop.signal);
    const candidates = readCandidates(offer.at, { reflexive, tunnels });
    const isNeighbour = reflexive !== undefined &&
      candidates.some(({ address }) => equalIp(address, reflexive.address));
    const at = ownPlaces({ port, relayAt: served.relayAt, reflexive, endpoint, isNeighbour, tunnels });
    const secret = random.fill(new Uint8Array(32));
    const keys = new ProbeKeys("exit", { client: clientSecret, exit: secret });
    // Meanwhile it may have gone, or offered again.
    if (!isCurrent()) return refusal(offer);
    served.punch = new PunchExit({ keys, candidates, clock });
    this.#punches.set(keys.id, served.punch);
    this.#schedule(0);
    return { type: "punch.answer", id: offer.id, grant: { secret: encodeBase64(secret), at: [...at] } };
  }

  /** The one port; undefined as long as there can be none. */
  #portForAll(): Promise<ProbePort | undefined> {
    if (this.#opening && this.#options.clock.now() < this.#reopenAtMs) return this.#opening;
    this.#reopenAtMs = Infinity;
    return this.#opening = this.#open();
  }

  /** Undefined, and said aloud once, when there can be no such port now. */
  async #open(): Promise<ProbePort | undefined> {
    const { device, mark, clock, log, openPort = openProbePort } = this.#options;
    try {
      const { listenPort } = await device.status();
      const onDatagram = (bytes: Uint8Array, from: Endpoint) => this.#receive(bytes, from);
      this.#port = openPort({ port: listenPort, onDatagram, ...mark !== undefined && { mark } });
      return this.#port;
    } catch (error) {
      log[this.#hasWarned ? "debug" : "warn"]("Clients stay on their relays", { reason: String(error) });
      this.#hasWarned = true;
      this.#reopenAtMs = clock.now() + REOPEN_MS;
      return undefined;
    }
  }

  #receive(bytes: Uint8Array, from: Endpoint): void {
    const id = probeId(bytes);
    if (id === undefined) return this.#reflections.receive(bytes, from);
    const answer = this.#punches.get(id)?.receive(bytes);
    if (answer) this.#port?.send(answer, from);
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted || this.#punches.size === 0) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => this.#tick());
  }

  #tick(): void {
    const nowMs = this.#options.clock.now();
    let isAsking = false;
    for (const [name, served] of this.#clients) {
      const { punch } = served;
      if (!punch) continue;
      for (const { to, bytes } of punch.asks()) this.#port?.send(bytes, to);
      isAsking ||= punch.isAsking;
      if (nowMs - punch.heardAtMs >= SILENCE_MS) this.#clients.delete(name), this.#forgetPunch(served);
      else if (punch.isHeard && nowMs - served.remindedAtMs >= REMIND_MS) {
        served.remindedAtMs = nowMs;
        this.#reflections.remind(served.relayAt);
      }
    }
    this.#schedule(isAsking ? PUNCH_ROUND_MS : IDLE_TICK_MS);
  }

  #forgetPunch(served: Served | undefined): void {
    if (served?.punch) this.#punches.delete(served.punch.id);
  }
}

function refusal({ id }: PunchOffer, retryAfterMs?: number): PunchAnswer {
  return { type: "punch.answer", id, ...retryAfterMs !== undefined && { retryAfterMs } };
}
