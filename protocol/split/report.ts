/**
 * What a split has found: each side in figures, and what may be said of the difference. The first side is what the others
 * are held against.
 *
 * Said with 99 % certainty for each measure by itself, and not before there are enough streams: whoever looks often enough
 * sees a difference at some time where there is none, so the bar is not the usual 95 %.
 */

import { z } from "zod";
import { countSchema } from "../fields.ts";
import type { PacketCounts } from "../stream.ts";
import { rankDifference, type Share, shareDifference, shareInterval, Z_OF_99_PERCENT } from "./chance.ts";
import { quantileOf, type Sample } from "./sample.ts";
import type { SideRecord } from "./side_record.ts";

const spreadSchema = z.object({ count: countSchema, p50: z.number().optional(), p99: z.number().optional() });
export type Spread = z.infer<typeof spreadSchema>;

const shareSchema = z.object({ hits: countSchema, total: countSchema, low: z.number(), high: z.number() });

const sideReportSchema = z.object({
  name: z.string(),
  weight: z.number(),
  up: z.boolean(),
  /** Why it last failed. */
  lastFailure: z.string().optional(),
  drawn: countSchema,
  opened: countSchema,
  failed: countSchema,
  /** The target answered no: neither success nor failure of the side. */
  declined: countSchema,
  abandoned: countSchema,
  /** Opened for another side that had failed; not measured. */
  tookOver: countSchema,
  open: countSchema,
  /** Of those opened: bytes were sent, and it ended before one came. */
  unanswered: countSchema,
  /** Opened and not left unanswered, of those that the side could have opened. */
  success: shareSchema,
  /** Cut on their way, of those opened. */
  broken: shareSchema,
  dialMs: spreadSchema,
  firstByteMs: spreadSchema,
  bytesPerS: spreadSchema,
  sentBytes: countSchema,
  receivedBytes: countSchema,
  /** Of transports that see packets: those sent, and those of them that had to be sent again. */
  packets: z.object({ sent: countSchema, resent: countSchema }).optional(),
});
export type SideReport = z.infer<typeof sideReportSchema>;

export const measures = ["success", "broken", "dialMs", "firstByteMs", "bytesPerS"] as const;
export type Measure = (typeof measures)[number];

const verdictSchema = z.object({
  measure: z.enum(measures),
  /** The indices of the sides. */
  first: countSchema,
  other: countSchema,
  /** `few`: too little was seen to say. */
  found: z.enum(["few", "same", "first_is_better", "other_is_better"]),
});
export type Verdict = z.infer<typeof verdictSchema>;

export const splitReportSchema = z.object({
  /** How long it has been measured. */
  forMs: z.number(),
  isSticky: z.boolean(),
  sides: z.array(sideReportSchema),
  verdicts: z.array(verdictSchema),
});
export type SplitReport = z.infer<typeof splitReportSchema>;

/** What is known of a side beside its record. */
export interface SideState {
  readonly up: boolean;
  readonly lastFailure?: string | undefined;
  readonly packets?: PacketCounts | undefined;
}

/** Below this on either side nothing is said. */
const ENOUGH = 20;

export function reportOf(
  sides: readonly { readonly record: SideRecord; readonly state: SideState }[],
  about: { readonly forMs: number; readonly isSticky: boolean },
): SplitReport {
  const records = sides.map(({ record }) => record);
  const [first, ...others] = records;
  return {
    ...about,
    sides: sides.map(({ record, state }) => sideReport(record, state)),
    verdicts: others.flatMap((other, at) =>
      measures.map((measure) => ({ measure, first: 0, other: at + 1, found: compare(measure, first!, other) }))
    ),
  };
}

function sideReport(record: SideRecord, { up, lastFailure, packets }: SideState): SideReport {
  const { name, weight, counts, sentBytes, receivedBytes } = record;
  const { broken: _, ...told } = counts;
  return {
    ...{ name, weight, up, ...told, sentBytes, receivedBytes },
    ...(lastFailure !== undefined && { lastFailure }),
    success: withInterval(successOf(record)),
    broken: withInterval(brokenOf(record)),
    dialMs: spreadOf(record.dialMs),
    firstByteMs: spreadOf(record.firstByteMs),
    bytesPerS: spreadOf(record.bytesPerS),
    ...(packets && { packets: { sent: packets.sent, resent: packets.resent } }),
  };
}

function successOf({ counts }: SideRecord): Share {
  return { hits: counts.opened - counts.unanswered, total: counts.opened + counts.failed };
}

/** Of those that have ended: what becomes of the open ones is not known yet. */
function brokenOf({ counts }: SideRecord): Share {
  return { hits: counts.broken, total: counts.opened - counts.open };
}

function withInterval(share: Share): z.infer<typeof shareSchema> {
  return { ...share, ...shareInterval(share, Z_OF_99_PERCENT) };
}

function spreadOf(sample: Sample): Spread {
  const sorted = sample.sorted();
  const [p50, p99] = [quantileOf(sorted, 0.5), quantileOf(sorted, 0.99)];
  return { count: sample.count, ...(p50 !== undefined && { p50 }), ...(p99 !== undefined && { p99 }) };
}

function compare(measure: Measure, first: SideRecord, other: SideRecord): Verdict["found"] {
  switch (measure) {
    case "success":
      return compareShares(successOf(first), successOf(other), "more");
    case "broken":
      return compareShares(brokenOf(first), brokenOf(other), "less");
    case "bytesPerS":
      return compareSamples(first.bytesPerS, other.bytesPerS, "more");
    default:
      return compareSamples(first[measure], other[measure], "less");
  }
}

/** Which of the two is the better one. */
type Better = "more" | "less";

function compareShares(first: Share, other: Share, better: Better): Verdict["found"] {
  if (Math.min(first.total, other.total) < ENOUGH) return "few";
  const { low, high } = shareDifference(first, other, Z_OF_99_PERCENT);
  return low > 0 || high < 0 ? winner(low > 0, better) : "same";
}

function compareSamples(first: Sample, other: Sample, better: Better): Verdict["found"] {
  if (Math.min(first.count, other.count) < ENOUGH) return "few";
  const ranks = rankDifference(first.sorted(), other.sorted());
  return Math.abs(ranks) > Z_OF_99_PERCENT ? winner(ranks > 0, better) : "same";
}

function winner(firstHasMore: boolean, better: Better): Verdict["found"] {
  return firstHasMore === (better === "more") ? "first_is_better" : "other_is_better";
}
