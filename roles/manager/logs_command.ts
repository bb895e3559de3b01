/**
 * `culvert manager logs`: what services have written, and with `-f` what they write from now on. Files are read where the
 * manager runs the processes itself, the journal where systemd does; no manager needs to run.
 */

import { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import { escapeText } from "../escape.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { Asking, askingConfig, chosenServices, serviceNames } from "./asking.ts";
import { knownNames } from "./known_services.ts";
import { logLines, type LogLinesOptions, type LogSource, logSource } from "./log_source.ts";
import { outputPaint } from "./styles.ts";

const config = z.object({
  names: serviceNames("Which services; all unless given."),
  follow: z.boolean().default(false).describe("Go on until stopped, through cuts of the files.").meta({ short: "f" }),
  lines: z.number().int().min(0).max(100_000).default(50).describe("How many of the last lines of each.")
    .meta({ short: "n", placeholder: "count" }),
  ...askingConfig,
});
type Settings = z.output<typeof config>;

export const logsRole: Role<typeof config> = defineRole({
  name: "manager-logs",
  summary: "What services have written to their logs, and what they write from now on.",
  config,
  examples: ["culvert manager logs kcp", "culvert manager logs -f kcp paqet", "culvert manager logs kcp -n 500"],
  longRunning: false,
  endsUnread: true,
  run: (config, context) => runLogs(config, context),
});

interface NamedSource {
  readonly name: string;
  readonly source: LogSource;
}

export async function runLogs(settings: Settings, context: RoleContext): Promise<void> {
  const sources = await sourcesOf(settings, context);
  if (sources.length === 0) throw new CulvertError("no_service", "Cannot show logs: there are no services");
  const show = printer(sources, context);
  const { lines, follow } = settings;
  const failed = new AbortController();
  const options = { lines, follow, clock: context.clock, signal: AbortSignal.any([context.signal, failed.signal]) };
  if (!follow) {
    for (const source of sources) await showOne(source, options, show);
    return;
  }
  const ends = sources.map((source) =>
    showOne(source, options, show).catch((error) => {
      failed.abort(error);
      throw error;
    })
  );
  for (const end of await Promise.allSettled(ends)) if (end.status === "rejected") throw end.reason;
}

async function showOne(
  { name, source }: NamedSource,
  options: LogLinesOptions,
  show: (name: string, line: string) => void,
): Promise<void> {
  for await (const line of logLines(source, options)) show(name, line);
}

async function sourcesOf(settings: Settings, context: RoleContext): Promise<NamedSource[]> {
  const asking = new Asking(settings, context);
  const { places } = asking;
  const report = await asking.tryReport();
  const known = report?.services ?? (await knownNames(places)).map((name) => ({ name }));
  const backend = report?.backend ?? places.backend;
  return chosenServices<{ readonly name: string }>(settings.names, known).map(({ name }) => ({
    name,
    source: logSource(name, { logs: places.logs, backend }),
  }));
}

/** On a terminal nothing that a service writes can move the cursor or worse; elsewhere lines are left as they are. */
function printer(sources: readonly NamedSource[], { json, print }: RoleContext): (name: string, line: string) => void {
  if (json) return (name, line) => print(JSON.stringify({ service: name, line }));
  const safe = Deno.stdout.isTerminal()
    ? (line: string) => escapeText(line.replaceAll("\t", "  "))
    : (line: string) => line;
  if (sources.length === 1) return (_name, line) => print(safe(line));
  const width = Math.max(...sources.map(({ name }) => name.length));
  const paint = outputPaint();
  return (name, line) => print(`${paint(name.padEnd(width), "waiting")} | ${safe(line)}`);
}
