/**
 * What is known of one side of a split. Only streams that were drawn for the side are in it: one that came over because its
 * own side failed is counted and not measured, or the side that works would be measured by the other's targets.
 *
 *   drawn ─┬▶ opened ─▶ carried, broke on the way, or ended unanswered: no success after all
 *          ├▶ failed     the side's doing, or it was down already
 *          ├▶ declined   the target answered no, as it would have anywhere
 *          └▶ abandoned  the caller did not wait
 */

import type { Counter, Histogram, Metrics } from "../metrics.ts";
import type { Random } from "../random.ts";
import { Sample } from "./sample.ts";

/** How a stream went, once it is over. */
export interface CarriedStream {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** From the first byte sent to the first received; absent when either is missing or the far side spoke first. */
  readonly firstByteMs?: number;
  /** How fast bytes came, the wait for the first included; of a stream that brought enough to tell. */
  readonly bytesPerS?: number;
  /** It was cut: neither side had ended it. */
  readonly isBroken: boolean;
  /** Bytes were sent, and it ended before one came: what was opened led nowhere. */
  readonly isUnanswered: boolean;
}

export interface SideOptions {
  readonly name: string;
  readonly weight: number;
  readonly random: Random;
  readonly metrics: Metrics;
}

const KEPT_VALUES = 2000;
const SECONDS = [0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
/** From 100 kbit/s to a gigabit. */
const BYTES_PER_SECOND = [12_500, 125_000, 625_000, 1.25e6, 2.5e6, 6.25e6, 12.5e6, 25e6, 62.5e6, 125e6];

export class SideRecord {
  readonly name: string;
  readonly weight: number;
  readonly dialMs: Sample;
  readonly firstByteMs: Sample;
  readonly bytesPerS: Sample;
  readonly counts = {
    ...{ drawn: 0, opened: 0, failed: 0, declined: 0, abandoned: 0, tookOver: 0 },
    ...{ open: 0, broken: 0, unanswered: 0 },
  };
  sentBytes = 0;
  receivedBytes = 0;
  readonly #instruments: Instruments;

  constructor({ name, weight, random, metrics }: SideOptions) {
    this.name = name;
    this.weight = weight;
    this.dialMs = new Sample(random, KEPT_VALUES);
    this.firstByteMs = new Sample(random, KEPT_VALUES);
    this.bytesPerS = new Sample(random, KEPT_VALUES);
    this.#instruments = instrumentsOf(metrics);
  }

  drawn(): void {
    this.counts.drawn++;
  }

  opened(dialMs: number): void {
    this.counts.open++;
    this.dialMs.add(dialMs);
    this.#instruments.dialSeconds.observe(dialMs / 1000, { side: this.name });
    this.count("opened");
  }

  /** Anything else that may become of a dial. `tookOver`: of one that was drawn for another side. */
  count(result: "opened" | "failed" | "declined" | "abandoned" | "tookOver"): void {
    this.counts[result]++;
    this.#instruments.dials.add(1, { side: this.name, result: result === "tookOver" ? "took_over" : result });
  }

  ended({ sentBytes, receivedBytes, firstByteMs, bytesPerS, isBroken, isUnanswered }: CarriedStream): void {
    const side = this.name;
    const { bytes, broken, unanswered, firstByteSeconds, rates } = this.#instruments;
    this.counts.open--;
    this.sentBytes += sentBytes;
    this.receivedBytes += receivedBytes;
    bytes.add(sentBytes, { side, direction: "sent" });
    bytes.add(receivedBytes, { side, direction: "received" });
    if (isBroken) {
      this.counts.broken++;
      broken.add(1, { side });
    }
    if (isUnanswered) {
      this.counts.unanswered++;
      unanswered.add(1, { side });
    }
    if (firstByteMs !== undefined) {
      this.firstByteMs.add(firstByteMs);
      firstByteSeconds.observe(firstByteMs / 1000, { side });
    }
    if (bytesPerS !== undefined) {
      this.bytesPerS.add(bytesPerS);
      rates.observe(bytesPerS, { side });
    }
  }
}

interface Instruments {
  readonly dials: Counter;
  readonly dialSeconds: Histogram;
  readonly firstByteSeconds: Histogram;
  readonly rates: Histogram;
  readonly bytes: Counter;
  readonly broken: Counter;
  readonly unanswered: Counter;
}

function instrumentsOf(metrics: Metrics): Instruments {
  const labels = ["side"] as const;
  return {
    dials: metrics.counter("split_dials_total", "Dials of each side of a split, by what became of them", [
      ...labels,
      "result",
    ]),
    dialSeconds: metrics.histogram("split_dial_seconds", "How long dials took that succeeded", SECONDS, labels),
    firstByteSeconds: metrics.histogram(
      "split_first_byte_seconds",
      "From the first byte sent on a stream to the first received",
      SECONDS,
      labels,
    ),
    rates: metrics.histogram(
      "split_stream_bytes_per_second",
      "How fast bytes came on streams that brought enough to tell",
      BYTES_PER_SECOND,
      labels,
    ),
    bytes: metrics.counter("split_bytes_total", "Bytes of each side, counted when a stream ends", [
      ...labels,
      "direction",
    ]),
    broken: metrics.counter("split_broken_streams_total", "Streams that were cut on their way", labels),
    unanswered: metrics.counter(
      "split_unanswered_streams_total",
      "Streams that were opened, sent bytes and ended before one came",
      labels,
    ),
  };
}
