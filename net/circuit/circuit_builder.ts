/**
 * Makes circuits, one whenever it is asked to: relays from the directory, a stream on the link to the entry relay, hop
 * after hop. It remembers who has failed, and keeps the entry relays.
 *
 * A few entry relays are used for an hour or so before others are drawn: whoever runs relays to see who uses circuits
 * becomes the entry of a user sooner or later if it is drawn anew each time, and with luck never if it is drawn seldom.
 * All circuits through an entry share one link to it.
 */

import type { HopChoice } from "../../protocol/circuit/owner.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import type { RelayGateway, RelayRecord } from "../../protocol/directory.ts";
import { decodeBase32, decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { SealTools } from "../../protocol/sealed_handshake.ts";
import { noTracing, type Tracing } from "../../protocol/tracing.ts";
import { FailedExits } from "../failed_exits.ts";
import type { RelayFinder } from "../relay_directory.ts";
import { buildCircuit, BuildError } from "./build_circuit.ts";
import type { CellLink } from "./cell_link.ts";
import { CellSlabs } from "./cell_slabs.ts";
import { chooseRoute, type Route } from "./choose_route.ts";
import { dialRelayLink, type LinkDialling } from "./dial_link.ts";
import { RelayLinks } from "./relay_links.ts";

export interface CircuitBuilderOptions {
  readonly relays: Pick<RelayFinder, "list" | "find" | "refresh"> & {
    /** Why the directory tells nothing at present, if so. */
    readonly problem?: string | undefined;
  };
  readonly tools: SealTools;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
  /** As whom, and how, entry relays are dialled. */
  readonly dialling: Omit<LinkDialling, "role" | "certificate"> & {
    readonly ownId: string;
    /** For closed networks, as it is now. */
    readonly certificate?: (() => string | undefined) | undefined;
  };
  /** Relays before the gateway. */
  readonly hops: number;
  /** The only gateway to use. Left out: any. */
  readonly gatewayId?: string | undefined;
  /** Padding cells per circuit and second. Default 0. */
  readonly paddingPerSecond?: number;
  /** How long an entry relay is kept, about. Default 1 h. */
  readonly entryKeptMs?: number;
  /** How long to wait for enough relays and a gateway to be known. Default 5 s. */
  readonly routePatienceMs?: number;
  /** How many routes are tried before a build has failed. Default 4. */
  readonly maxRoutes?: number;
  /** For one hop to answer. Default 5 s. */
  readonly hopTimeoutMs?: number;
}

/** Entry relays in use at a time; more than one so that the loss of one is not the loss of all circuits. */
const MAX_ENTRIES = 2;
const ROUTE_LOOK_MS = 500;

interface Entry {
  readonly relayId: string;
  readonly untilMs: number;
}

export class CircuitBuilder implements Disposable {
  readonly #options: CircuitBuilderOptions;
  readonly #links: RelayLinks;
  readonly #slabs = new CellSlabs();
  readonly #failed: FailedExits;
  readonly #entries: (Entry | undefined)[] = Array(MAX_ENTRIES).fill(undefined);
  #builtCount = 0;
  readonly #metrics;

  constructor(options: CircuitBuilderOptions) {
    const { clock, log, metrics, dialling } = options;
    this.#options = options;
    this.#failed = new FailedExits(clock);
    this.#metrics = metrics.counter("circuit_builds_total", "Circuits that we began to build, by outcome", ["outcome"]);
    this.#links = new RelayLinks({
      ...{ ownId: dialling.ownId, clock, log, metrics },
      dial: (relayId, signal) => this.#dial(relayId, signal),
      onStream: (stream) => stream.abort(), // nobody has circuits through us
    });
  }

  /** Builds a circuit, by other relays where some have failed. Rejects with a DialError, or the signal's reason. */
  build(signal: AbortSignal): Promise<CellLink> {
    const { tracing = noTracing } = this.#options;
    return tracing.run("circuit.build", {}, () => this.#build(signal));
  }

  async #build(signal: AbortSignal): Promise<CellLink> {
    const { maxRoutes = 4, log } = this.#options;
    const slot = this.#builtCount++ % MAX_ENTRIES;
    for (let tries = 1;; tries++) {
      const route = await this.#choose(slot, signal);
      try {
        return await this.#buildThrough(route, slot, signal);
      } catch (error) {
        this.#metrics.add(1, { outcome: signal.aborted ? "given_up" : "failed" });
        if (signal.aborted || tries >= maxRoutes) throw error;
        log.debug("A circuit could not be built, and is tried by other relays", { error: messageOf(error) });
      }
    }
  }

  /** Ends the links to entry relays, and all circuits with them. */
  close(): void {
    this.#links.close();
  }

  /** Settles when no link is left. Call `close` first. */
  async closed(): Promise<void> {
    await this.#links.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Waits a little for relays and gateways that are about to be known: often everything is started at once. */
  async #choose(slot: number, signal: AbortSignal): Promise<Route> {
    const { relays, clock, routePatienceMs = 5_000 } = this.#options;
    const giveUpMs = clock.now() + routePatienceMs;
    let choice = this.#chooseNow(slot);
    while (!("relays" in choice)) {
      await relays.refresh(signal);
      choice = this.#chooseNow(slot);
      if ("relays" in choice) break;
      if (clock.now() >= giveUpMs) throw this.#noRoute(choice.problem);
      await delay(clock, ROUTE_LOOK_MS, signal);
    }
    return choice;
  }

  #noRoute(problem: string): DialError {
    const { relays } = this.#options;
    const isBlind = relays.list("relay").length === 0 && relays.problem !== undefined;
    const why = isBlind ? `no relay is known, since base does not tell: ${relays.problem}` : problem;
    return new DialError("path_down", `Cannot build a circuit: ${why}`);
  }

  #chooseNow(slot: number) {
    const { relays, hops, gatewayId, tools: { random }, clock } = this.#options;
    const failed = new Set(this.#failed.list());
    const entry = this.#entries[slot];
    const isKept = entry && clock.now() < entry.untilMs && !failed.has(entry.relayId);
    return chooseRoute(relays.list("relay"), {
      ...{ hops, gatewayId, random },
      entryId: isKept ? entry.relayId : undefined,
      isAvoided: (peerId) => failed.has(peerId),
    });
  }

  #keepEntry(slot: number, relayId: string): void {
    const { clock, tools: { random }, entryKeptMs = 3_600_000 } = this.#options;
    if (this.#entries[slot]?.relayId === relayId && clock.now() < this.#entries[slot].untilMs) return;
    this.#entries[slot] = { relayId, untilMs: clock.now() + entryKeptMs * (0.75 + 0.5 * random.next()) };
  }

  async #buildThrough(route: Route, slot: number, signal: AbortSignal): Promise<CellLink> {
    const { tools, clock, log, hopTimeoutMs = 5_000, paddingPerSecond = 0 } = this.#options;
    const ids = idsOf(route);
    const blame = (hop: number) => this.#failed.add(ids[Math.min(hop, ids.length) - 1]!);
    const stream = await this.#links.open("relay", ids[0]!, signal).catch((error) => {
      signal.throwIfAborted();
      blame(1);
      throw entryError(error, ids.length - 1);
    });
    const onEnd = (hop: number, reason: string) => {
      blame(hop);
      log.debug("A circuit was ended", { reason });
    };
    const options = { tools, clock, slabs: this.#slabs, hopTimeoutMs, onEnd };
    try {
      const link = await buildCircuit(stream, hopsOf(route), options, signal);
      if (paddingPerSecond > 0) link.padding = { perSecond: paddingPerSecond, clock, random: tools.random };
      this.#keepEntry(slot, ids[0]!);
      for (const id of ids) this.#failed.remove(id);
      this.#metrics.add(1, { outcome: "built" });
      return link;
    } catch (error) {
      if (error instanceof BuildError) blame(error.hop);
      throw error;
    }
  }

  async #dial(relayId: string, signal: AbortSignal) {
    const { relays, dialling } = this.#options;
    const relay = relays.find("relay", relayId);
    if (!relay) throw new DialError("unresolved", "the directory knows it no more");
    return await dialRelayLink(
      relay,
      { ...dialling, certificate: dialling.certificate?.(), role: "client" },
      signal,
    );
  }
}

function idsOf({ relays, gateway }: Route): string[] {
  return [...relays.map(({ relayId }) => relayId), gateway.gatewayId];
}

function hopsOf({ relays, gateway }: Route): HopChoice[] {
  const hop = (id: string, { sealingKey }: RelayRecord | RelayGateway, kind: HopChoice["kind"]): HopChoice => {
    const [idBytes, key] = [decodeBase32(id), decodeBase64(sealingKey)];
    if (!idBytes || !key) {
      throw new CulvertError("invalid_key", "Cannot build a circuit: the directory must be checked");
    }
    return { id: idBytes, sealingKey: key, kind };
  };
  return [...relays.map((relay) => hop(relay.relayId, relay, "relay")), hop(gateway.gatewayId, gateway, "gateway")];
}

function entryError(error: unknown, relays: number): DialError {
  const told = error instanceof DialError && (error.code === "busy" || error.code === "unauthorized");
  const why = messageOf(error instanceof DialError && error.cause || error);
  const message = `Cannot build a circuit: relay 1 of ${relays} cannot be reached: ${why}`;
  return new DialError(told ? error.code : "path_down", message, { cause: error });
}
