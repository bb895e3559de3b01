/**
 * What a split has found, for people: the sides beside each other, then in words which is better in what.
 */

import type { Measure, SideReport, SplitReport, Verdict } from "../../protocol/split/report.ts";
import { escapeText } from "../escape.ts";
import { bytesText, type Column, spanText, tableLines } from "../table.ts";

export function splitReportLines({ forMs, isSticky, sides, verdicts }: SplitReport): string[] {
  const columns: Column<Row>[] = [
    { title: "", cell: ({ title }) => title },
    ...sides.map((side, at): Column<Row> => ({ title: letter(at), cell: ({ cell }) => cell(side), align: "right" })),
  ];
  return [
    `Split for ${spanText(forMs)}, ${isSticky ? "each host to one side" : "each stream by chance"}`,
    ...sides.map(({ name, lastFailure, up }, at) => {
      const failure = lastFailure === undefined ? "" : ` (last failure: ${lastFailure})`;
      return `  ${letter(at)}  ${escapeText(name)}${up ? "" : ", down"}${failure}`;
    }),
    "",
    ...tableLines(columns, rows),
    ...sides.slice(1).flatMap((_, at) => ["", ...verdictLines(verdicts.filter(({ other }) => other === at + 1))]),
  ];
}

function letter(at: number): string {
  return String.fromCharCode("A".charCodeAt(0) + at);
}

interface Row {
  readonly title: string;
  cell(side: SideReport): string;
}

const rows: readonly Row[] = [
  { title: "weight", cell: ({ weight }) => `${weight}` },
  { title: "streams", cell: ({ drawn }) => `${drawn}` },
  { title: "  opened", cell: ({ opened }) => `${opened}` },
  { title: "  unanswered", cell: ({ unanswered }) => `${unanswered}` },
  { title: "  failed", cell: ({ failed }) => `${failed}` },
  { title: "  declined", cell: ({ declined }) => `${declined}` },
  { title: "  abandoned", cell: ({ abandoned }) => `${abandoned}` },
  { title: "taken over", cell: ({ tookOver }) => `${tookOver}` },
  { title: "success", cell: ({ success }) => percentText(success.hits, success.total) },
  { title: "  between", cell: ({ success }) => intervalText(success) },
  { title: "dial p50", cell: ({ dialMs }) => msText(dialMs.p50) },
  { title: "dial p99", cell: ({ dialMs }) => msText(dialMs.p99) },
  { title: "first byte p50", cell: ({ firstByteMs }) => msText(firstByteMs.p50) },
  { title: "first byte p99", cell: ({ firstByteMs }) => msText(firstByteMs.p99) },
  { title: "throughput p50", cell: ({ bytesPerS }) => rateText(bytesPerS.p50) },
  { title: "streams cut", cell: ({ broken }) => percentText(broken.hits, broken.total) },
  { title: "  between", cell: ({ broken }) => intervalText(broken) },
  {
    title: "packets resent",
    cell: ({ packets }) => packets ? percentText(packets.resent, packets.sent) : "unseen",
  },
  { title: "received", cell: ({ receivedBytes }) => bytesText(receivedBytes) },
  { title: "sent", cell: ({ sentBytes }) => bytesText(sentBytes) },
];

function intervalText({ total, low, high }: SideReport["success"]): string {
  return total === 0 ? "-" : `${(100 * low).toFixed(0)} and ${(100 * high).toFixed(0)} %`;
}

function percentText(hits: number, total: number): string {
  return total === 0 ? "-" : `${(100 * hits / total).toFixed(1)} %`;
}

function msText(ms: number | undefined): string {
  return ms === undefined ? "-" : ms < 10 ? `${ms.toFixed(1)}ms` : spanText(ms);
}

function rateText(bytesPerS: number | undefined): string {
  if (bytesPerS === undefined) return "-";
  const mbitPerS = bytesPerS / 125_000;
  return `${mbitPerS.toFixed(mbitPerS < 10 ? 2 : 0)} Mbit/s`;
}

const names: Readonly<Record<Measure, string>> = {
  success: "success",
  broken: "streams cut",
  dialMs: "dial",
  firstByteMs: "first byte",
  bytesPerS: "throughput",
};

function verdictLines(verdicts: readonly Verdict[]): string[] {
  const [{ first, other } = { first: 0, other: 0 }] = verdicts;
  const found: Readonly<Record<Verdict["found"], string>> = {
    few: "too few streams to say",
    same: "no difference beyond chance",
    first_is_better: `${letter(first)} is better`,
    other_is_better: `${letter(other)} is better`,
  };
  return [
    `${letter(other)} against ${letter(first)}, with 99 % certainty:`,
    ...verdicts.map((verdict) => `  ${names[verdict.measure].padEnd(13)}${found[verdict.found]}`),
  ];
}
