/**
 * How a node is, as it tells `culvert node status`: for programs as this object, for people as lines. Amounts of money are
 * millionths as decimal text, and come from the orchestrator's ledger: the rows that are paid out, not a count of our own.
 */

import { z } from "zod";
import { formatMicros } from "../../protocol/sharing/money.ts";
import { usageSchema } from "../../protocol/sharing/data_caps.ts";
import { earningsFiguresSchema, nodePriceSchema, standingNoteSchema } from "../../protocol/sharing/node_messages.ts";
import { trafficKinds } from "../../net/sharing/shared_path.ts";
import { countSchema } from "../../protocol/fields.ts";
import { bytesText } from "../table.ts";
import { pauseLines, rows, timeText } from "./words.ts";

export const uplinkReportSchema = z.object({
  url: z.string(),
  orchestratorId: z.string().optional(),
  /** Tunnels that are up. */
  tunnels: countSchema,
  /** Why it takes this node no more: its owner has to do something. */
  refusal: z.string().optional(),
  virtualAddress: z.string().optional(),
  /** Where this node's tunnels come from, as the orchestrator sees it. */
  address: z.string().optional(),
  region: z.string().optional(),
  standing: standingNoteSchema.optional(),
  prices: z.array(nodePriceSchema).optional(),
  /** What it said last to the owner. */
  notice: z.string().optional(),
  earnings: earningsFiguresSchema.optional(),
  /** Why there are no earnings to tell. */
  earningsProblem: z.string().optional(),
});
export type UplinkReport = z.infer<typeof uplinkReportSchema>;

export const nodeReportSchema = z.object({
  nodeId: z.string(),
  pid: z.int(),
  nowMs: z.number(),
  isSharing: z.boolean(),
  pauses: z.array(z.object({ reason: z.string(), text: z.string(), untilMs: z.number().optional() })),
  streams: countSchema,
  /** Since it was started: towards the sites that are visited, and from them. */
  upBytes: countSchema,
  downBytes: countSchema,
  /** Connections since it was started, by what they were for. */
  opened: z.record(z.enum(trafficKinds), countSchema),
  usage: usageSchema,
  caps: z.object({ dayBytes: countSchema.optional(), monthBytes: countSchema.optional() }),
  battery: z.object({ percent: z.number(), isCharging: z.boolean() }).optional(),
  connection: z.object({ device: z.string().optional(), kind: z.string(), isMetered: z.boolean() }).optional(),
  orchestrators: z.array(uplinkReportSchema),
});
export type NodeReport = z.infer<typeof nodeReportSchema>;

/** For people. */
export function reportLines(report: NodeReport): string[] {
  const { pauses, nowMs, usage, caps, battery, connection, opened } = report;
  const lines = rows([
    ["node", report.nodeId],
    ["state", stateText(report)],
    ...pauseLines(pauses, nowMs).map((line) => ["paused", line] as const),
    ["connections", `${report.streams} now`],
    ["shared", `${bytesText(report.upBytes)} up, ${bytesText(report.downBytes)} down since the start`],
    ["for", trafficKinds.filter((kind) => opened[kind] > 0).map((kind) => `${kind} ${opened[kind]}`).join(", ")],
    ["today", usageText(usage.dayBytes, caps.dayBytes)],
    ["this month", usageText(usage.monthBytes, caps.monthBytes)],
    ["battery", battery && `${battery.percent} %, ${battery.isCharging ? "plugged in" : "not plugged in"}`],
    [
      "network",
      connection && `${connection.device ?? "none"}, ${connection.kind}${connection.isMetered ? ", metered" : ""}`,
    ],
  ]);
  return [...lines, ...report.orchestrators.flatMap((uplink) => ["", ...uplinkLines(uplink, nowMs)])];
}

function stateText({ isSharing, pauses, orchestrators }: NodeReport): string {
  if (pauses.length > 0) return "paused";
  if (isSharing) return "sharing";
  return orchestrators.every(({ refusal }) => refusal !== undefined) ? "refused" : "connecting";
}

function uplinkLines(uplink: UplinkReport, nowMs: number): string[] {
  const { standing, earnings } = uplink;
  return rows([
    ["orchestrator", uplink.url],
    ["tunnels", uplink.tunnels > 0 ? `${uplink.tunnels}` : "none yet"],
    ["refused", uplink.refusal],
    ["standing", standing && `${standing.standing}${standing.reason === undefined ? "" : `: ${standing.reason}`}`],
    ["known as", uplink.virtualAddress],
    ["seen at", uplink.address && `${uplink.address}${uplink.region === undefined ? "" : `, ${uplink.region}`}`],
    ["paid", uplink.prices?.map(priceText).join("; ")],
    ["earned", earnings && earnedText(earnings, nowMs)],
    ["account", earnings && accountText(earnings)],
    ["earned", uplink.earningsProblem],
    ["it says", uplink.notice],
  ]);
}

function priceText({ tier, microsPerGib, feeBasisPoints }: z.infer<typeof nodePriceSchema>): string {
  const price = BigInt(microsPerGib);
  const kept = price - price * BigInt(feeBasisPoints) / 10_000n;
  return `${formatMicros(kept)} per GiB (${tier})`;
}

function earnedText(
  { asOfMs, earnedMicros, earnedTodayMicros, paidBytes }: z.infer<typeof earningsFiguresSchema>,
  nowMs: number,
): string {
  const today = earnedTodayMicros === undefined ? "" : `, ${formatMicros(BigInt(earnedTodayMicros))} today`;
  const bytes = paidBytes === undefined ? "" : ` for ${bytesText(paidBytes)}`;
  return `${formatMicros(BigInt(earnedMicros))} by this node${bytes}${today}, as of ${timeText(asOfMs, nowMs)}`;
}

function accountText({ balanceMicros, pendingMicros }: z.infer<typeof earningsFiguresSchema>): string {
  const pending = BigInt(pendingMicros);
  const more = pending === 0n ? "" : `, ${formatMicros(pending)} being paid out`;
  return `${formatMicros(BigInt(balanceMicros))} can be paid out${more}`;
}

function usageText(bytes: number, capBytes: number | undefined): string {
  return capBytes === undefined ? bytesText(bytes) : `${bytesText(bytes)} of ${bytesText(capBytes)}`;
}
