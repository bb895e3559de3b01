/**
 * A client's side of direct connections: it begins on the relay, looks for a way without it, takes that when there is one, and
 * goes back when it ends.
 *
 *   relay ── reflection, punch.offer and punch.answer in the tunnel, probes ──→ answered: direct
 *     ↑                                                                            │ asked twice a second
 *     └───────────────────── no answer for 0.6 s, and again later ←────────────────┘
 *
 * Nothing is lost on the way over: both ways stay open, and the device takes what comes on either. Only it must not be led
 * back by what was still under way on the old one, since a device sends to where the last authentic datagram came from: so
 * its endpoint is looked at for a while and set again. The exit's device follows ours.
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
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import type { AskGateway } from "../client/tun/gateway_client.ts";
import { ownPlaces } from "./own_places.ts";
import { type OpenProbePort, openProbePort, type ProbePort } from "./probe_port.ts";
import { Reflections, REMIND_MS } from "./reflections.ts";

export type Way = "direct" | "relay";

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

  /** Until the signal aborts; then it settles, and the device stays as it is. Rejects where there can be no raw socket. */
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
      if (place) await this.#stayDirect(place, reflections, signal);
      if (clock.now() - sinceMs >= LASTING_MS) backoff.reset();
      await delay(clock, LEAST_RETRY_MS + backoff.nextMs(), signal);
    }
  }

  /** Where the exit answers without the relay; undefined when there is no such place now. */
  async #find(port: ProbePort, reflections: Reflections, signal: AbortSignal): Promise<Endpoint | undefined> {
    const { ask, clock, random, relayAt, tunnels, log } = this.#options;
    const reflexive = await reflections.ask(relayAt, signal);
    const secret = random.fill(new Uint8Array(32));
    const id = encodeBase64Url(random.fill(new Uint8Array(16)));
    const at = [...ownPlaces({ port, relayAt, reflexive, isNeighbour: false })];
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
    return await this.#punch.search(signal);
  }

  /** Takes the way, and when it ends the relay again. */
  async #stayDirect(place: Endpoint, reflections: Reflections, signal: AbortSignal): Promise<void> {
    const { relayAt, onChange, log, clock } = this.#options;
    using end = endWith(signal);
    const lost = this.#punch!.watch(place, end.signal).then(() => "no answer");
    const failed = this.#take(place, end.signal).then((isTaken) => isTaken ? new Promise<never>(() => {}) : "no data");
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
  }

  /** Sends there from now on, and something at once, so that the exit sees it; false when nothing comes back. */
  async #take(at: Endpoint, signal: AbortSignal): Promise<boolean> {
    const { ask, random } = this.#options;
    await this.#setEndpoint(at);
    const id = encodeBase64Url(random.fill(new Uint8Array(16)));
    return await ask.ask({ type: "probe", id }, { signal, withinMs: TAKEN_MS }).then(() => true, () => {
      signal.throwIfAborted();
      return false;
    });
  }

  /** Sees to it that the device stays there. */
  async #hold(at: Endpoint, signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.#settle(at, signal);
      while (await this.#isAt(at)) await delay(this.#options.clock, WATCH_MS, signal);
    }
  }

  /** While what was under way may still lead it back, looks often and sets it again. */
  async #settle(at: Endpoint, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let untilMs = clock.now() + SETTLE_MS; clock.now() < untilMs;) {
      const isAt = await this.#isAt(at);
      signal.throwIfAborted();
      if (!isAt) {
        await this.#setEndpoint(at);
        untilMs = clock.now() + SETTLE_MS;
      }
      await delay(clock, SETTLE_LOOK_MS, signal);
    }
  }

  async #remind(reflections: Reflections, signal: AbortSignal): Promise<never> {
    for (;;) {
      reflections.remind(this.#options.relayAt);
      await delay(this.#options.clock, REMIND_MS, signal);
    }
  }

  async #isAt(at: Endpoint): Promise<boolean> {
    const { device, exitKey } = this.#options;
    const { peers } = await device.status();
    const peer = peers.find(({ publicKey }) => equalKey(publicKey, exitKey));
    return !peer?.endpoint || formatEndpoint(peer.endpoint) === formatEndpoint(at);
  }

  async #setEndpoint(endpoint: Endpoint, keepsEndpoint = true): Promise<void> {
    const { device, exitKey } = this.#options;
    await device.configure({ peers: [{ publicKey: exitKey, updateOnly: true, endpoint, keepsEndpoint }] });
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

function equalKey(one: Key, other: Key): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
