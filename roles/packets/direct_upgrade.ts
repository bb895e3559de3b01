/**
 * A client's side of direct connections: it begins on the relay, looks for a way without it, takes that when there is one, and
 * goes back when it ends.
 *
 *   relay ── reflection, punch.offer and punch.answer in the tunnel, probes ──→ answered: direct
 *     ↑                                                                            │ asked every 0.4 s
 *     └───────────────────── no answer for 0.4 s, and again later ←────────────────┘
 *
 * Nothing is lost on the way over: both ways stay open, and a device takes what comes on either. But it sends to where the
 * last authentic datagram came from: what is still under way on the old way would lead ours back, and ours the exit's. Our own
 * device can be told to keep its endpoint, and then the exit's has followed as soon as the old way is empty. Others are set
 * again and again until they stay; with much under way both ways that takes a good part of a second.
 */

import type { WireGuardDevice } from "../../native/wireguard/device.ts";
import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { decodeBase64, encodeBase64, encodeBase64Url } from "../../protocol/encoding.ts";
import { type Cidr, equalIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import { mayProbe, readCandidates } from "../../protocol/packets/punch_candidates.ts";
import { PunchClient, WATCH_MS } from "../../protocol/packets/punch_client.ts";
import { probeId, ProbeKeys } from "../../protocol/packets/punch_probe.ts";
import type { Random } from "../../protocol/random.ts";
import { equalEndpoints, formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { equalKeys } from "../../protocol/wireguard/keys.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import type { AskGateway } from "../client/tun/gateway_client.ts";
import { ownPlaces } from "./own_places.ts";
import { type OpenProbePort, openProbePort, type ProbePort } from "./probe_port.ts";
import { Reflections, REMIND_MS } from "./reflections.ts";

/** Said, at the level of debugging, after each search that found nothing. */
export const NO_WAY = "There is no way to the exit without the relay now";

export type Way = "direct" | "relay";
/** Why a direct way was left: its probes are no longer answered, or nothing else ever came through it. */
type End = "no answer" | "no data";

export interface DirectUpgradeOptions {
  readonly device: WireGuardDevice;
  readonly exitKey: Key;
  readonly relayAt: Endpoint;
  readonly ask: AskGateway;
  /** What is inside the tunnel: nothing is ever sent there. */
  readonly tunnels?: readonly Cidr[];
  /** As the device's own datagrams are marked. */
  readonly mark?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  onChange(way: Way, at: Endpoint): void;
  readonly openPort?: OpenProbePort;
}

/** The tunnel and the exit's own questions to the relay. */
const OFFER_MS = 3_000;
/** The first tries come soon: a handshake may not even have been made. */
const RETRY = { baseMs: 2_000, maxMs: 300_000 };
const LEAST_RETRY_MS = 1_000;
/** A way that lasted so long was no accident: the next tries begin soon again. */
const LASTING_MS = 60_000;
/** How soon a packet must have gone there and back on a new way. */
const TAKEN_MS = 1_000;
/** How long what is under way on the old way may take, and how often to see whether it has led the device back. */
const SETTLE_MS = 1_500;
const SETTLE_LOOK_MS = 5;

export class DirectUpgrade {
  readonly #options: DirectUpgradeOptions;
  #punch: PunchClient | undefined;

  constructor(options: DirectUpgradeOptions) {
    this.#options = options;
  }

  /**
   * Until the signal aborts; then it settles, and the device stays as it is. Rejects where there can be no raw socket, and
   * when the device has ended.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { device, mark, clock, random, openPort = openProbePort } = this.#options;
    const { listenPort } = await device.status();
    const reflections = new Reflections({ clock, random, send: (bytes, to) => void port.send(bytes, to) });
    const onDatagram = (bytes: Uint8Array, from: Endpoint) => {
      if (probeId(bytes) !== undefined) this.#punch?.receive(bytes, from);
      else reflections.receive(bytes, from);
    };
    await using port = openPort({ port: listenPort, onDatagram, ...mark !== undefined && { mark } });
    try {
      await this.#upgradeAgainAndAgain(port, reflections, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #upgradeAgainAndAgain(port: ProbePort, reflections: Reflections, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const backoff = new Backoff(random, RETRY);
    for (;;) {
      const place = await this.#find(port, reflections, signal);
      const sinceMs = clock.now();
      const end = place && await this.#stayDirect(place, reflections, signal);
      if (clock.now() - sinceMs >= LASTING_MS) backoff.reset();
      // A way that lets probes through and no data costs a second of data each time it is tried.
      await delay(clock, end === "no data" ? RETRY.maxMs : LEAST_RETRY_MS + backoff.nextMs(), signal);
    }
  }

  /** Where the exit answers without the relay; undefined when there is no such place now. */
  async #find(port: ProbePort, reflections: Reflections, signal: AbortSignal): Promise<Endpoint | undefined> {
    const { ask, clock, random, relayAt, tunnels, log } = this.#options;
    const reflexive = await reflections.ask(relayAt, signal);
    const secret = random.fill(new Uint8Array(32));
    const id = encodeBase64Url(random.fill(new Uint8Array(16)));
    const at = [...ownPlaces({ port, relayAt, reflexive, isNeighbour: false, tunnels })];
    const offer = { type: "punch.offer", id, secret: encodeBase64(secret), at } as const;
    const answer = await ask.ask(offer, { signal, withinMs: OFFER_MS }).catch(() => undefined);
    signal.throwIfAborted();
    const exitSecret = answer?.grant && decodeBase64(answer.grant.secret);
    if (!answer?.grant || !exitSecret) {
      log.debug("The exit does not look for a direct way", { answered: answer !== undefined });
      return undefined;
    }
    const scope = { reflexive, tunnels };
    const candidates = readCandidates(answer.grant.at, scope);
    const isNeighbour = reflexive !== undefined &&
      candidates.some(({ address }) => equalIp(address, reflexive.address));
    this.#punch = new PunchClient({
      keys: new ProbeKeys("client", { client: secret, exit: exitSecret }),
      candidates,
      clock,
      send: (probe, to) => void port.send(probe, to),
      mayProbe: (at) => mayProbe(at, scope, isNeighbour),
    });
    const place = await this.#punch.search(signal);
    if (!place) log.debug(NO_WAY);
    return place;
  }

  /** Takes the way, and when it ends the relay again; gives why it has. */
  async #stayDirect(place: Endpoint, reflections: Reflections, signal: AbortSignal): Promise<End> {
    const { relayAt, onChange, log, clock } = this.#options;
    using end = endWith(signal);
    const lost = this.#punch!.watch(place, end.signal).then((): End => "no answer");
    const failed = this.#take(place, end.signal).then((isTaken): End | Promise<never> =>
      isTaken ? forever() : "no data"
    );
    const reminding = this.#remind(reflections, end.signal);
    const holding = this.#hold(place, end.signal);
    for (const work of [lost, failed, reminding, holding]) work.catch(() => {});
    onChange("direct", place);
    log.info("Direct to the exit", { endpoint: formatEndpoint(place) });
    const sinceMs = clock.now();
    const reason = await Promise.race([lost, failed, reminding, holding]);
    end[Symbol.dispose]();
    const back = this.#take(relayAt, signal);
    onChange("relay", relayAt);
    log.info("Back to the relay", { reason, afterMs: Math.round(clock.now() - sinceMs) });
    await back;
    await this.#settle(relayAt, signal);
    // From here on it may follow again, as any device on a relay does.
    await this.#setEndpoint(relayAt, { keeps: false });
    return reason;
  }

  /** Sends there from now on, and something at once, so that the exit sees it; false when nothing comes back. */
  async #take(at: Endpoint, signal: AbortSignal): Promise<boolean> {
    const { ask, random } = this.#options;
    await this.#setEndpoint(at, { keeps: true });
    const id = encodeBase64Url(random.fill(new Uint8Array(16)));
    return await ask.ask({ type: "probe", id }, { signal, withinMs: TAKEN_MS }).then(() => true, () => {
      signal.throwIfAborted();
      return false;
    });
  }

  /** Sees to it that the device stays there; one that keeps its endpoint needs no looking after. */
  async #hold(at: Endpoint, signal: AbortSignal): Promise<never> {
    if (this.#options.device.backend === "userspace") return await forever();
    await this.#settle(at, signal);
    for (;;) {
      await delay(this.#options.clock, WATCH_MS, signal);
      if (await this.#setAgain(at, signal)) await this.#settle(at, signal);
    }
  }

  /** Until what was under way on the old way has come. */
  async #settle(at: Endpoint, signal: AbortSignal): Promise<void> {
    const { clock, device } = this.#options;
    if (device.backend === "userspace") return await delay(clock, SETTLE_MS, signal);
    for (const untilMs = clock.now() + SETTLE_MS; clock.now() < untilMs;) {
      await this.#setAgain(at, signal);
      await delay(clock, SETTLE_LOOK_MS, signal);
    }
  }

  /** Whether it had been led away. */
  async #setAgain(at: Endpoint, signal: AbortSignal): Promise<boolean> {
    const { device, exitKey } = this.#options;
    const { peers } = await device.status();
    signal.throwIfAborted();
    const endpoint = peers.find(({ publicKey }) => equalKeys(publicKey, exitKey))?.endpoint;
    if (!endpoint || equalEndpoints(endpoint, at)) return false;
    await this.#setEndpoint(at, { keeps: true });
    return true;
  }

  async #remind(reflections: Reflections, signal: AbortSignal): Promise<never> {
    for (;;) {
      reflections.remind(this.#options.relayAt);
      await delay(this.#options.clock, REMIND_MS, signal);
    }
  }

  async #setEndpoint(endpoint: Endpoint, { keeps }: { readonly keeps: boolean }): Promise<void> {
    const { device, exitKey } = this.#options;
    await device.configure({ peers: [{ publicKey: exitKey, updateOnly: true, endpoint, keepsEndpoint: keeps }] });
  }
}

/** A signal that ends with the other, and when disposed. */
function endWith(signal: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const end = new AbortController();
  return {
    signal: AbortSignal.any([signal, end.signal]),
    [Symbol.dispose]: () => end.abort(new Error("It is over")),
  };
}

function forever(): Promise<never> {
  return new Promise(() => {});
}
