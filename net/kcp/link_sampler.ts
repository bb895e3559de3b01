/**
 * How KCP links are: looked at every few seconds, told as metrics and on request. Latency, throughput of each, segments sent
 * and sent again; of links that have ended what they counted remains.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Counter, Labels, Metrics } from "../../protocol/metrics.ts";
import type { PacketCounts } from "../../protocol/stream.ts";
import type { Traffic } from "../counted_link.ts";
import type { KcpLink } from "./kcp_link.ts";

export interface LinkStatus {
  /** Whose it is; empty where there are no names. */
  readonly client: string;
  /** Where the other end is. */
  readonly place: string;
  /** 0 until measured. */
  readonly rttMs: number;
  readonly ageMs: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Over the last few seconds. */
  readonly rxMbitPerS: number;
  readonly txMbitPerS: number;
  readonly sentSegments: number;
  readonly resentSegments: number;
  /** Of what was sent, the share that was sent again. */
  readonly resentShare: number;
}

interface Sampled {
  readonly link: KcpLink;
  readonly traffic: Traffic;
  readonly client: string;
  place(): string;
  readonly beganMs: number;
  /** As of the last look. */
  lookedMs: number;
  rxBytes: number;
  txBytes: number;
  sent: number;
  resent: number;
  rxMbitPerS: number;
  txMbitPerS: number;
}

const LOOK_MS = 5_000;
const BYTES_PER_MBIT = 125_000;
const RTT_BUCKETS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];
/** From 100 kbit/s to a gigabit. */
const RATE_BUCKETS = [12_500, 125_000, 625_000, 1.25e6, 2.5e6, 6.25e6, 12.5e6, 25e6, 62.5e6, 125e6];

export class LinkSampler implements Disposable {
  readonly #clock: Clock;
  readonly #links = new Set<Sampled>();
  readonly #bytes: Counter;
  readonly #segments: Counter;
  readonly #events: Counter;
  readonly #rtt;
  readonly #rate;
  readonly #active;
  /** Of links that have ended. */
  readonly #past = { sent: 0, resent: 0 };
  #timer: Timer | undefined;

  /** `prefix` begins the names of the metrics. */
  constructor(prefix: string, { clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#clock = clock;
    const labels = ["client"] as const;
    this.#active = metrics.gauge(`${prefix}_links_active`, "KCP links that are up", labels);
    this.#bytes = metrics.counter(`${prefix}_bytes_total`, "Bytes over KCP links", [...labels, "direction"]);
    this.#segments = metrics.counter(`${prefix}_segments_total`, "KCP segments sent, and sent again", [
      ...labels,
      "kind",
    ]);
    this.#rtt = metrics.histogram(`${prefix}_rtt_seconds`, "Round trips of KCP links", RTT_BUCKETS_S, labels);
    this.#rate = metrics.histogram(`${prefix}_link_bytes_per_second`, "Throughput of each KCP link", RATE_BUCKETS, [
      ...labels,
      "direction",
    ]);
    this.#events = metrics.counter(`${prefix}_events_total`, "What happened to KCP sessions", ["event"]);
  }

  /** Looks at the link from now on, until it is over; one that is already is nothing to look at. */
  add(link: KcpLink, traffic: Traffic, whose: { readonly client: string; place(): string }): void {
    if (link.isOver) return;
    const nowMs = this.#clock.now();
    this.#links.add({
      link,
      traffic,
      ...whose,
      beganMs: nowMs,
      lookedMs: nowMs,
      rxBytes: 0,
      txBytes: 0,
      sent: 0,
      resent: 0,
      rxMbitPerS: 0,
      txMbitPerS: 0,
    });
    this.#active.add(1, { client: whose.client });
    this.#timer ??= this.#clock.after(LOOK_MS, () => this.#lookAtAll());
  }

  count(event: string): void {
    this.#events.add(1, { event });
  }

  get status(): LinkStatus[] {
    const nowMs = this.#clock.now();
    return [...this.#links].filter(({ link }) => !link.isOver).map((sampled) => {
      const { link: { kcp }, client, traffic } = sampled;
      const resentSegments = resentOf(sampled.link);
      return {
        client,
        place: sampled.place(),
        rttMs: kcp.srttMs,
        ageMs: nowMs - sampled.beganMs,
        rxBytes: traffic.rxBytes,
        txBytes: traffic.txBytes,
        rxMbitPerS: sampled.rxMbitPerS,
        txMbitPerS: sampled.txMbitPerS,
        sentSegments: kcp.counters.sent,
        resentSegments,
        resentShare: kcp.counters.sent === 0 ? 0 : resentSegments / kcp.counters.sent,
      };
    });
  }

  /** Segments of all links, those that have ended too. */
  get packets(): PacketCounts {
    const sum = { ...this.#past };
    for (const { link } of this.#links) {
      sum.sent += link.kcp.counters.sent;
      sum.resent += resentOf(link);
    }
    return sum;
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const sampled of this.#links) this.#end(sampled);
  }

  #lookAtAll(): void {
    for (const sampled of this.#links) {
      if (sampled.link.isOver) this.#end(sampled);
      else this.#look(sampled);
    }
    this.#timer = this.#links.size === 0 ? undefined : this.#clock.after(LOOK_MS, () => this.#lookAtAll());
  }

  #look(sampled: Sampled): void {
    const { link, traffic, client } = sampled;
    const nowMs = this.#clock.now();
    const rx = traffic.rxBytes - sampled.rxBytes;
    const tx = traffic.txBytes - sampled.txBytes;
    const sent = link.kcp.counters.sent - sampled.sent;
    const resent = resentOf(link) - sampled.resent;
    const bitsPerS = nowMs > sampled.lookedMs ? 8000 / (nowMs - sampled.lookedMs) : 0;
    const labels: Labels = { client };
    this.#bytes.add(rx, { ...labels, direction: "in" });
    this.#bytes.add(tx, { ...labels, direction: "out" });
    this.#segments.add(sent, { ...labels, kind: "sent" });
    this.#segments.add(resent, { ...labels, kind: "resent" });
    if (link.kcp.srttMs > 0) this.#rtt.observe(link.kcp.srttMs / 1000, labels);
    sampled.rxMbitPerS = rx * bitsPerS / 1e6;
    sampled.txMbitPerS = tx * bitsPerS / 1e6;
    if (rx > 0) this.#rate.observe(sampled.rxMbitPerS * BYTES_PER_MBIT, { ...labels, direction: "in" });
    if (tx > 0) this.#rate.observe(sampled.txMbitPerS * BYTES_PER_MBIT, { ...labels, direction: "out" });
    sampled.lookedMs = nowMs;
    sampled.rxBytes += rx;
    sampled.txBytes += tx;
    sampled.sent += sent;
    sampled.resent += resent;
  }

  #end(sampled: Sampled): void {
    this.#look(sampled);
    this.#links.delete(sampled);
    this.#past.sent += sampled.sent;
    this.#past.resent += sampled.resent;
    this.#active.add(-1, { client: sampled.client });
  }
}

function resentOf({ kcp: { counters } }: KcpLink): number {
  return counters.fastResent + counters.earlyResent + counters.timedOut;
}
