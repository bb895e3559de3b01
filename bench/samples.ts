/**
 * What a role's `/metrics` said at one moment, and what it says about the time between two of them.
 * Format: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
 */

/** Values by series, labels included, as they are written: `command_success_total{kind="DISCONNECT"}`. */
export type Samples = ReadonlyMap<string, number>;

export function samplesOf(text: string): Samples {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const at = line.lastIndexOf(" ");
    samples.set(line.slice(0, at), Number(line.slice(at + 1).replace("+Inf", "Infinity")));
  }
  return samples;
}

/** The sum over all labels of a counter or gauge. */
export function sumOf(samples: Samples, name: string, label = ""): number {
  let sum = 0;
  for (const [series, value] of samples) {
    if ((series === name || series.startsWith(`${name}{`)) && series.includes(label)) sum += value;
  }
  return sum;
}

/**
 * A quantile of what a histogram has counted between two moments, all labels together; within the bucket in which it
 * lies as if that were filled evenly, as Prometheus does. Beyond the last bound it is that bound.
 */
export function quantileOf(before: Samples, after: Samples, name: string, quantile: number): number {
  const counts = new Map<number, number>();
  for (const [samples, sign] of [[after, 1], [before, -1]] as const) {
    for (const [series, value] of samples) {
      const bound = series.startsWith(`${name}_bucket{`) ? /le="([^"]+)"/.exec(series)?.[1] : undefined;
      if (bound === undefined) continue;
      const upper = bound === "+Inf" ? Infinity : Number(bound);
      counts.set(upper, (counts.get(upper) ?? 0) + sign * value);
    }
  }
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const wanted = quantile * (buckets.at(-1)?.[1] ?? 0);
  let [lower, below] = [0, 0];
  for (const [upper, count] of buckets) {
    if (count >= wanted && count > 0) {
      return upper === Infinity ? lower : lower + (upper - lower) * (wanted - below) / (count - below);
    }
    [lower, below] = [upper, count];
  }
  throw new RangeError(`Cannot take a quantile of ${name}: it has counted nothing`);
}
