/**
 * The tables of `docs/observability.md`, made of the list of metrics, part by part. Run it to write them anew:
 *
 *   deno run -A tests/observability/metric_table.ts
 */

import { CulvertError } from "../../protocol/errors.ts";
import { type Metric, metricCatalogue } from "./metric_catalogue.ts";

export const PAGE = "docs/observability.md";
const BEGIN = "<!-- metrics -->";
const END = "<!-- /metrics -->";

/** Which part of the network a file belongs to; the first that fits. */
const PARTS: readonly (readonly [heading: string, files: RegExp])[] = [
  ["Every role", /^edge\/metrics|^kv\/|^roles\/closed_network/],
  ["Exit and client", /^roles\/(exit|peer)\/|^net\/(session|watched_session|control)/],
  ["Supernode", /^roles\/supernode\//],
  ["Administration and dashboard", /^roles\/admin_api\/|^edge\/dashboard\//],
  ["Directory (base)", /^edge\/directory/],
  ["Proxy, paths and ways out", /^net\/(proxy|egress|link_keeper|tunnel)|^protocol\/split/],
  ["Ports that face strangers", /^net\/(http_port|web_port)/],
  ["Fragments", /^edge\/(upstream|downstream)|^net\/(fragments|request_server)/],
  ["Circuits", /^net\/circuit/],
  ["Packets", /^net\/packets|^roles\/packet_relay/],
  ["Sharing: orchestrator and node", /^(edge|roles)\/orchestrator|^net\/sharing|^roles\/node/],
  ["Files: tracker, peer, meeting relay", /^edge\/tracker|^net\/(files|peers)/],
  ["Transports: KCP and vtcp", /^net\/(kcp|vtcp)|^roles\/transport/],
  ["Manager", /^roles\/manager/],
];

/** All tables, as markdown. */
export function tablesOf(metrics: readonly Metric[]): string {
  const byPart = Map.groupBy(metrics, partOf);
  return PARTS.map(([heading]) => [heading, byPart.get(heading) ?? []] as const)
    .map((
      [heading, those],
    ) => [`### ${heading}`, "", "| metric | kind | what |", "| --- | --- | --- |", ...those.map(rowOf), ""])
    .flat().join("\n");
}

function partOf({ file }: Metric): string {
  const part = PARTS.find(([, files]) => files.test(file));
  if (part) return part[0];
  throw new CulvertError("unknown_part", `Cannot list metrics: PARTS must have a row for ${file}`);
}

function rowOf({ name, kind, labels, help }: Metric): string {
  const written = labels.length > 0 ? `${name}{${labels.join(",")}}` : name;
  return `| \`${written}\` | ${kind} | ${help.replace(/\.$/, "")} |`;
}

/** The page with the tables in their place. */
export function withTables(page: string, tables: string): string {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) {
    throw new CulvertError("no_place", `Cannot write the tables: ${PAGE} must have ${BEGIN} and ${END}`);
  }
  return `${page.slice(0, from + BEGIN.length)}\n\n${tables}\n${page.slice(to)}`;
}

/** Without what `deno fmt` does to tables. */
export function unaligned(markdown: string): string {
  return markdown.replaceAll(/ +\|/g, " |").replaceAll(/-{3,}/g, "---").trim();
}

if (import.meta.main) {
  const page = withTables(await Deno.readTextFile(PAGE), tablesOf(await metricCatalogue()));
  await Deno.writeTextFile(PAGE, page);
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).output();
}
