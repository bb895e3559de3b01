/**
 * Metrics kept in a prom-client registry of their own, and printed as Prometheus text. Portable: no timers, nothing of
 * the host; what only the host knows (CPU time, memory) is handed in as `process` and asked for at each scrape.
 *
 * Labels are bounded: an instrument holds `maxSeries` combinations; a further one is counted under "other" in every
 * label, and in `metrics_series_refused_total`, so that a label fed by strangers cannot grow memory.
 *
 * Format: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
 */

import { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from "prom-client";
import { CulvertError } from "../protocol/errors.ts";
import type { Counter, Gauge, Histogram, Labels, Metrics } from "../protocol/metrics.ts";

export interface MetricsRegistry extends Metrics {
  /** Everything, as Prometheus text. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** What the process uses, as far as the host can tell. */
export interface ProcessFigures {
  readonly cpuSeconds?: number;
  readonly residentBytes?: number;
  readonly heapBytes?: number;
  readonly startTimeSeconds?: number;
}

export interface MetricsOptions {
  /** Asked at each scrape. */
  readonly process?: () => ProcessFigures;
  /** Label combinations per instrument. Default 1,000. */
  readonly maxSeries?: number;
}

const DEFAULT_MAX_SERIES = 1000;
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

export function createMetrics(options: MetricsOptions = {}): MetricsRegistry {
  return new PromMetrics(options);
}

interface Instrument {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly labelNames: readonly string[];
  readonly instrument: Counter | Gauge | Histogram;
}

class PromMetrics implements MetricsRegistry {
  readonly #registry = new Registry();
  readonly #instruments = new Map<string, Instrument>();
  readonly #maxSeries: number;
  readonly #refused: Counter;

  constructor(options: MetricsOptions) {
    this.#maxSeries = options.maxSeries ?? DEFAULT_MAX_SERIES;
    this.#refused = this.counter(
      "metrics_series_refused_total",
      "Updates counted under the label other because an instrument has too many label combinations",
    );
    if (options.process) collectProcess(this.#registry, options.process);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return this.#instrument("counter", { name, labelNames }, () => {
      const counter = new PromCounter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
      const series = this.#series(labelNames, (values) => counter.labels(...values));
      return { add: (amount, labels) => (labels ? series.of(labels) : counter).inc(amount ?? 1) };
    });
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return this.#instrument("gauge", { name, labelNames }, () => {
      const gauge = new PromGauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
      const series = this.#series(labelNames, (values) => gauge.labels(...values));
      return {
        set: (value, labels) => (labels ? series.of(labels) : gauge).set(value),
        add: (amount, labels) => (labels ? series.of(labels) : gauge).inc(amount),
        remove: (labels) => {
          if (series.forget(labels)) gauge.remove(...labelNames.map((name) => labels[name] ?? ""));
        },
      };
    });
  }

  histogram(name: string, help: string, buckets: readonly number[], labelNames: readonly string[] = []): Histogram {
    return this.#instrument("histogram", { name, labelNames }, () => {
      const registers = [this.#registry];
      const histogram = new PromHistogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: [...labelNames],
        registers,
      });
      const series = this.#series(labelNames, (values) => histogram.labels(...values));
      return { observe: (value, labels) => (labels ? series.of(labels) : histogram).observe(value) };
    });
  }

  #series<T>(labelNames: readonly string[], open: (values: string[]) => T): Series<T> {
    return new Series(labelNames, open, { maxSeries: this.#maxSeries, onRefused: () => this.#refused.add() });
  }

  /** The instrument of that name, made on first asking. */
  #instrument<T extends Counter | Gauge | Histogram>(
    kind: Instrument["kind"],
    { name, labelNames }: { readonly name: string; readonly labelNames: readonly string[] },
    make: () => T,
  ): T {
    const known = this.#instruments.get(name);
    if (known) {
      if (known.kind === kind && known.labelNames.join() === labelNames.join()) return known.instrument as T;
      throw new CulvertError(
        "metric_conflict",
        `Cannot make the ${kind} ${name}: its kind and labels must be those it was first made with, ` +
          `got ${kind}(${labelNames}) after ${known.kind}(${known.labelNames})`,
      );
    }
    requireName("name", name, NAME);
    for (const label of labelNames) requireName("label", label, LABEL_NAME);
    const instrument = make();
    this.#instruments.set(name, { kind, labelNames: [...labelNames], instrument });
    return instrument;
  }
}

function requireName(what: string, name: string, rule: RegExp): void {
  if (rule.test(name)) return;
  throw new CulvertError("bad_metric", `Cannot make a metric: its ${what} must match ${rule.source}, got "${name}"`);
}

interface SeriesOptions {
  readonly maxSeries: number;
  readonly onRefused: () => void;
}

/** The label combinations of one instrument, each opened once. */
class Series<T> {
  readonly #labelNames: readonly string[];
  readonly #open: (values: string[]) => T;
  readonly #options: SeriesOptions;
  readonly #byValues = new Map<string, T>();
  #other: T | undefined;

  constructor(labelNames: readonly string[], open: (values: string[]) => T, options: SeriesOptions) {
    this.#labelNames = labelNames;
    this.#open = open;
    this.#options = options;
  }

  of(labels: Labels): T {
    const names = this.#labelNames;
    const key = this.#keyOf(labels);
    const known = this.#byValues.get(key);
    if (known !== undefined) return known;
    if (this.#byValues.size >= this.#options.maxSeries) {
      this.#options.onRefused();
      return this.#other ??= this.#open(names.map(() => "other"));
    }
    const opened = this.#open(names.map((name) => labels[name] ?? ""));
    this.#byValues.set(key, opened);
    return opened;
  }

  /** Whether there was one; the next of these labels is opened anew. */
  forget(labels: Labels): boolean {
    return this.#byValues.delete(this.#keyOf(labels));
  }

  /** One label is the common case: its value is the key, and nothing is allocated. */
  #keyOf(labels: Labels): string {
    const names = this.#labelNames;
    return names.length === 1
      ? labels[names[0]!] ?? ""
      : names.map((name) => labels[name] ?? "").map((value) => `${value.length}:${value}`).join("");
  }
}

const PROCESS_GAUGES = [
  ["process_resident_memory_bytes", "Memory of the process that is in RAM", "residentBytes"],
  ["process_heap_bytes", "JavaScript heap in use", "heapBytes"],
  ["process_start_time_seconds", "When the process started, in seconds since 1970", "startTimeSeconds"],
] as const;

/** Instruments that ask for the process's figures when they are scraped. */
function collectProcess(registry: Registry, figures: () => ProcessFigures): void {
  const registers = [registry];
  new PromCounter({
    name: "process_cpu_seconds_total",
    help: "CPU time used by the process, in seconds",
    registers,
    collect() {
      this.reset();
      this.inc(figures().cpuSeconds ?? 0);
    },
  });
  for (const [name, help, figure] of PROCESS_GAUGES) {
    new PromGauge({
      name,
      help,
      registers,
      collect() {
        this.set(figures()[figure] ?? 0);
      },
    });
  }
}
