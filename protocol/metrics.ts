/**
 * What a part may count. The names end in their unit, as Prometheus asks; labels come from small fixed sets, never
 * from what a stranger sends. `edge/metrics.ts` keeps and prints them. Design §7.
 */

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(amount?: number, labels?: Labels): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
  add(amount: number, labels?: Labels): void;
  /** There is nothing of these labels any more. */
  remove(labels: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** Asking twice for one name gives the same instrument. */
export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): Counter;
  gauge(name: string, help: string, labelNames?: readonly string[]): Gauge;
  histogram(name: string, help: string, buckets: readonly number[], labelNames?: readonly string[]): Histogram;
}

const nothing: Counter & Gauge & Histogram = { add() {}, set() {}, remove() {}, observe() {} };

/** Counts nothing. */
export const noMetrics: Metrics = { counter: () => nothing, gauge: () => nothing, histogram: () => nothing };
