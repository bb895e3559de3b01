/**
 * Whether the data links to exits and to other supernodes carry streams, found out by asking over them rather than by
 * what somebody says of itself.
 *
 *   every 2 s while sessions need it, every 10 s otherwise ──→ probe, answered within 2 s ──→ health, latency
 *   two in a row that are not answered ──→ down: its sessions are moved, and it is given to nobody
 *   two that are                       ──→ up again
 *
 * So a link that lives but carries nothing is found out within 8 s. One on which nothing comes any more ends by itself
 * within 5 s, which mux sees to (`protocol/mux_liveness.ts`). What is known of a holder outlives its link: one that makes
 * a new link all the time does not look well for that.
 *
 * One timer for all, and no more probes at once than `MAX_PROBING`.
 */

import { probeLink } from "../../net/link_probe.ts";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { dialFailureOf, messageOf } from "../../protocol/errors.ts";
import { Health } from "../../protocol/health.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { HeldLink } from "./data_links.ts";
import type { LinkHolder } from "./relay_tokens.ts";

const USED_EVERY_MS = 2_000;
/** Links that nothing needs at present are probed so much more rarely. */
const UNUSED_RARER = 5;
const ANSWER_WITHIN_MS = 2_000;
const RETRY = { retryBaseMs: 250, retryMaxMs: 5_000 };
/** It is looked eight times between two probes of one link. */
const LOOK_OFTENER = 8;
const MAX_PROBING = 256;
/** The weight of a new probe in the share of those that come back. */
const SHARE_WEIGHT = 0.2;
const LATENCY_BUCKETS_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2];

export interface LinkProbesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  linkOf(holder: LinkHolder): HeldLink | undefined;
  /** Settles when the other end has answered. Default: over a stream of the link. */
  probe?: ((link: HeldLink, signal: AbortSignal) => Promise<void>) | undefined;
  /** Between probes of a link that is needed. Default 2 s. */
  readonly everyMs?: number | undefined;
  /** Whether there are sessions that need it. */
  isUsed(holder: LinkHolder): boolean;
  /** Nothing gets through any more, though the link is there. */
  onDown(holder: LinkHolder): void;
}

interface Probed {
  readonly holder: LinkHolder;
  readonly health: Health;
  /** The share of late probes that came back. */
  share: number;
  probedAtMs: number;
  probing: AbortController | undefined;
}

export class LinkProbes implements Disposable {
  readonly #options: LinkProbesOptions;
  readonly #probed = new Map<string, Probed>();
  readonly #metrics;
  #timer: Timer;
  #probing = 0;

  constructor(options: LinkProbesOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    this.#metrics = {
      probes: metrics.counter("data_link_probes_total", "Probes over data links", ["kind", "outcome"]),
      latency: metrics.histogram(
        "data_link_probe_latency_seconds",
        "How long probes took that came back",
        LATENCY_BUCKETS_S,
        ["kind"],
      ),
      down: metrics.gauge("data_links_down", "Data links that are there and carry nothing", ["kind"]),
    };
    this.#timer = clock.after(this.#everyMs / LOOK_OFTENER, () => this.#look());
  }

  /** Begins to probe, if it is not done already. */
  watch(holder: LinkHolder): void {
    const key = keyOf(holder);
    if (this.#probed.has(key)) return;
    const { clock, random } = this.#options;
    const health = new Health(clock.now(), random, { probeEveryMs: this.#everyMs, ...RETRY });
    this.#probed.set(key, { holder, health, share: 1, probedAtMs: -Infinity, probing: undefined });
  }

  forget(holder: LinkHolder): void {
    const probed = this.#probed.get(keyOf(holder));
    if (!probed) return;
    probed.probing?.abort();
    if (!probed.health.up) this.#metrics.down.add(-1, { kind: holder.kind });
    this.#probed.delete(keyOf(holder));
  }

  /** From 0, when nothing gets through, to 1; also 1 when nothing is known. */
  healthOf(holder: LinkHolder): number {
    const probed = this.#probed.get(keyOf(holder));
    return probed ? probed.health.up ? probed.share : 0 : 1;
  }

  /** How long an answer takes, smoothed; undefined until there has been one. */
  latencyMs(holder: LinkHolder): number | undefined {
    return this.#probed.get(keyOf(holder))?.health.latencyMs;
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    for (const { holder } of [...this.#probed.values()]) this.forget(holder);
  }

  get #everyMs(): number {
    return this.#options.everyMs ?? USED_EVERY_MS;
  }

  #look(): void {
    const { clock, linkOf, isUsed } = this.#options;
    const nowMs = clock.now();
    const unusedEveryMs = UNUSED_RARER * this.#everyMs;
    for (const probed of this.#probed.values()) {
      if (this.#probing >= MAX_PROBING) break;
      const { holder, health, probing, probedAtMs } = probed;
      if (probing || health.nextProbeAtMs > nowMs) continue;
      if (health.up && health.failures === 0 && nowMs - probedAtMs < unusedEveryMs && !isUsed(holder)) continue;
      const link = linkOf(holder);
      if (link) void this.#probe(probed, link);
    }
    this.#timer = clock.after(this.#everyMs / LOOK_OFTENER, () => this.#look());
  }

  async #probe(probed: Probed, link: HeldLink): Promise<void> {
    const { clock, probe = probeLink } = this.#options;
    const probing = probed.probing = new AbortController();
    const startMs = probed.probedAtMs = clock.now();
    this.#probing++;
    using limit = deadline(clock, ANSWER_WITHIN_MS, "probe a data link", probing.signal);
    let failure: unknown;
    try {
      await probe(link, limit.signal);
    } catch (error) {
      failure = error;
    }
    this.#probing--;
    probed.probing = undefined;
    if (probing.signal.aborted) return;
    // A link that ends meanwhile speaks for itself.
    if (failure === undefined) this.#succeeded(probed, clock.now() - startMs);
    else if (!link.closed) this.#failed(probed, failure);
  }

  #succeeded(probed: Probed, tookMs: number): void {
    const { holder: { kind, id }, health } = probed;
    this.#metrics.probes.add(1, { kind, outcome: "ok" });
    this.#metrics.latency.observe(tookMs / 1000, { kind });
    probed.share += SHARE_WEIGHT * (1 - probed.share);
    if (!health.probeSucceeded(this.#options.clock.now(), tookMs)) return;
    this.#metrics.down.add(-1, { kind });
    this.#options.log.info("A data link carries streams again", { holder: kind, peer_id: id });
  }

  #failed(probed: Probed, error: unknown): void {
    const { holder, health } = probed;
    const { kind, id } = holder;
    this.#metrics.probes.add(1, { kind, outcome: dialFailureOf(error) });
    probed.share -= SHARE_WEIGHT * probed.share;
    if (!health.probeFailed(this.#options.clock.now())) return;
    this.#metrics.down.add(1, { kind });
    this.#options.log.warn("A data link carries nothing", { holder: kind, peer_id: id, error: messageOf(error) });
    this.#options.onDown(holder);
  }
}

function keyOf({ kind, id }: LinkHolder): string {
  return `${kind} ${id}`;
}
