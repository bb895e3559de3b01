/**
 * Every metric there is, read out of the sources: `metrics.counter("name", "help", ["label"])` and the like. A name or label
 * that is put together when it runs is resolved by the tables below; one that they do not know is an error, and so is a row
 * that nothing needs any more. `docs/observability.md` shows them, rules and the dashboard may only use them.
 */

import { CulvertError } from "../../protocol/errors.ts";

export interface Metric {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
  /** Where it is counted. */
  readonly file: string;
}

const CALL = /\b(counter|gauge|histogram)\(\s*(?=["`])/g;
const FOLDERS = ["protocol", "net", "kv", "edge", "roles"];

const SAMPLERS = ["kcp_client", "kcp_server", "kcptun_client", "kcptun_server", "paqet_client", "paqet_server"];
/** What `${…}` in a metric's name stands for, by file. */
const PREFIXES: Readonly<Record<string, readonly string[]>> = {
  "net/kcp/link_sampler.ts": [...SAMPLERS, "gfk_kcp_client", "gfk_kcp_server"],
  "net/kcp/stream_server.ts": ["kcptun", "paqet"],
  "kv/health_watch.ts": ["store", "redis"],
};

/** Of the process, which the registry itself asks for. */
const OF_PROCESS: readonly Metric[] = [
  { name: "process_cpu_seconds_total", kind: "counter", help: "CPU time used by the process, in seconds" },
  { name: "process_resident_memory_bytes", kind: "gauge", help: "Memory of the process that is in RAM" },
  { name: "process_heap_bytes", kind: "gauge", help: "JavaScript heap in use" },
  { name: "process_start_time_seconds", kind: "gauge", help: "When the process started, in seconds since 1970" },
].map((one) => ({ ...one, kind: one.kind as Metric["kind"], labels: [], file: "edge/metrics.ts" }));

/** Help that is handed in from elsewhere. */
const HELP: Readonly<Record<string, string>> = {
  "help.up": "Whether the store, or Redis, can be used",
  "help.failures": "Uses of the store, or of Redis, that failed",
};

/** In the order of their names; one that several files count is there once. */
export async function metricCatalogue(): Promise<Metric[]> {
  const found = new Map(OF_PROCESS.map((metric) => [metric.name, metric]));
  const resolved = new Set<string>();
  for (const folder of FOLDERS) {
    for (const file of (await Array.fromAsync(sourcesIn(folder))).sort()) {
      for (const metric of metricsOf(file, await Deno.readTextFile(file))) {
        if (PREFIXES[file]) resolved.add(file);
        if (!found.has(metric.name)) found.set(metric.name, metric);
      }
    }
  }
  const stale = Object.keys(PREFIXES).find((file) => !resolved.has(file));
  if (stale !== undefined) throw new CulvertError("stale_row", `Cannot list metrics: nothing is resolved in ${stale}`);
  return [...found.values()].sort((one, other) => one.name < other.name ? -1 : 1);
}

/** Those that one source makes. */
export function metricsOf(file: string, source: string): Metric[] {
  return [...source.matchAll(CALL)].flatMap(({ 0: call, 1: kind, index }) => {
    const [name, help = "", ...rest] = argumentsAt(source, index + call.length);
    const labels = (kind === "histogram" ? rest[1] : rest[0]) ?? "";
    const shared = {
      kind: kind as Metric["kind"],
      help: HELP[help] ?? stringsIn(help).join(""),
      labels: labelsOf(labels, source),
      file,
    };
    return namesOf(name!, file).map((name) => ({ name, ...shared }));
  });
}

function namesOf(written: string, file: string): string[] {
  if (written.startsWith('"')) return stringsIn(written);
  const prefixes = PREFIXES[file];
  if (!prefixes) {
    throw new CulvertError("unknown_name", `Cannot list metrics: PREFIXES must say what ${written} is in ${file}`);
  }
  return prefixes.map((prefix) => written.slice(1, -1).replace(/\$\{\w+\}/, prefix));
}

/** Those written down, and those of `labels` where that is a list of the same file. */
function labelsOf(written: string, source: string): string[] {
  const isShared = /\blabels\b/.test(written);
  const shared = isShared ? /\blabels = (\[[^\]]*\])/.exec(source)?.[1] ?? "" : "";
  return [...stringsIn(shared), ...stringsIn(written)];
}

function stringsIn(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"/g)].map(([, inside]) => inside!);
}

/** The arguments of a call, as they are written; `at` is behind its bracket. */
function argumentsAt(source: string, at: number): string[] {
  const parts: string[] = [""];
  let depth = 0;
  let quote = "";
  for (const character of source.slice(at)) {
    if (quote !== "") quote = character === quote ? "" : quote;
    else if (`"\`'`.includes(character)) quote = character;
    else if ("([{".includes(character)) depth++;
    else if (")]}".includes(character) && --depth < 0) break;
    if (character === "," && depth === 0 && quote === "") parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

async function* sourcesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "fixtures" && name !== "web") yield* sourcesIn(path);
    else if (name.endsWith(".ts") && !/_(test|bench)\.ts$/.test(name)) yield path;
  }
}
