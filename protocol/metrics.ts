/**
 * What a part may count. The names end in their unit, as Prometheus asks; labels come from small fixed sets, never
 * from what a stranger sends. `edge/metrics.ts` keeps and prints them. Design §7.
 */

export type Labels = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface Counter {
  /** Adds one, or as much as is said. */
  add(amount?: number, labels?: Labels): void;
}

/** A number that goes up and down. */
export interface Gauge {
  /** Says what it is. */
  set(value: number, labels?: Labels): void;
  /** Adds to it, or takes away. */
  add(amount: number, labels?: Labels): void;
  /** There is nothing of these labels any more. */
  remove(labels: Labels): void;
}

/** How often values were how large. */
export interface Histogram {
  /** Counts a value. */
  observe(value: number, labels?: Labels): void;
}

/** Asking twice for one name gives the same instrument. */
export interface Metrics {
  /** A counter of that name. */
  counter(name: string, help: string, labelNames?: readonly string[]): Counter;
  /** A gauge of that name. */
  gauge(name: string, help: string, labelNames?: readonly string[]): Gauge;
  /** A histogram of that name, with the upper bounds of its buckets. */
  histogram(name: string, help: string, buckets: readonly number[], labelNames?: readonly string[]): Histogram;
}

const nothing: Counter & Gauge & Histogram = { add() {}, set() {}, remove() {}, observe() {} };

/** Counts nothing. */
export const noMetrics: Metrics = { counter: () => nothing, gauge: () => nothing, histogram: () => nothing };
