/**
 * What a benchmark measures, and what it gives back. The object that `--json` prints is an Outcome as it stands
 * (design §8): `ratio` above 1 always means that we are better, `figures` hold everything else, each key ending in its
 * unit, and a rival that is not installed is named in `missing`, never guessed.
 */

export interface MeasureOptions {
  /** Few short rounds: the whole subject within 50 s. */
  readonly quick: boolean;
  /** Says what is being done, for people who wait. */
  report(line: string): void;
}

export interface Measurement {
  readonly ours: number;
  readonly peers: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, number>>;
  readonly missing: readonly string[];
}

export interface Subject {
  readonly name: string;
  /** One line, for the list of subjects. */
  readonly summary: string;
  /** Of `ours` and the peers. */
  readonly unit: string;
  /** Which of two values is the better one. */
  readonly better: "higher" | "lower";
  measure(options: MeasureOptions): Promise<Measurement>;
}

export interface Outcome extends Measurement {
  readonly subject: string;
  readonly unit: string;
  readonly ratio: Readonly<Record<string, number>>;
  readonly quick: boolean;
}

/** Completes a measurement into what is printed. */
export function outcomeOf(subject: Subject, measurement: Measurement, quick: boolean): Outcome {
  const { ours, peers, figures, missing } = measurement;
  const ratio = mapValues(peers, (peer) => subject.better === "higher" ? ours / peer : peer / ours);
  return {
    subject: subject.name,
    unit: subject.unit,
    ours: rounded(ours),
    peers: mapValues(peers, rounded),
    ratio: mapValues(ratio, rounded),
    figures: mapValues(figures, rounded),
    missing,
    quick,
  };
}

/** Four digits that count: more would pretend. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function mapValues(record: Readonly<Record<string, number>>, map: (value: number) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
