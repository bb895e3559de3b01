/**
 * The settings of `culvert node`.
 */

import { z } from "zod";
import { nameSchema, remarkSchema } from "../../protocol/fields.ts";
import { isPeerId } from "../../protocol/identity.ts";
import { MAX_NODE_TUNNELS } from "../../protocol/sharing/node_messages.ts";
import { parseSpan, type ScheduleSpan } from "../../protocol/sharing/schedule.ts";
import { ConfigError } from "../config.ts";
import { byteSize, filePath } from "../fields.ts";
import type { NodeLimits } from "./policy.ts";

/** Where an orchestrator is, and who it has to be if that is known. */
export interface OrchestratorAddress {
  readonly url: string;
  readonly orchestratorId?: string;
}

const URL_RULE = "a URL such as wss://share.example/ or wss://PEERID@share.example/, which also says who must answer";
const SPAN_RULE = 'days and times such as "mon-fri 22:00-06:00", "sat,sun 00:00-24:00" or "daily 01:00-07:00"';
const MAX_ORCHESTRATORS = 8;

/** The peer id stands where others have a user: whoever answers there has to prove that it is the one. */
export function parseOrchestrator(text: string): OrchestratorAddress | undefined {
  const url = URL.parse(text);
  if (!url || !/^(https?|wss?):$/.test(url.protocol) || url.password !== "") return undefined;
  const { username } = url;
  if (username === "") return { url: url.href };
  if (!isPeerId(username)) return undefined;
  url.username = "";
  return { url: url.href, orchestratorId: username };
}

const orchestratorUrl = z.string().meta({ placeholder: "url" }).transform((text, context): OrchestratorAddress => {
  const orchestrator = parseOrchestrator(text);
  if (orchestrator) return orchestrator;
  context.issues.push({ code: "custom", message: URL_RULE, input: text });
  return z.NEVER;
});

const span = z.string().meta({ placeholder: "days times" }).transform((text, context): ScheduleSpan => {
  const read = parseSpan(text);
  if (read) return read;
  context.issues.push({ code: "custom", message: SPAN_RULE, input: text });
  return z.NEVER;
});

const code = z.string().regex(/^[A-Za-z0-9_-]{4,128}$/, "an enrolment code").meta({
  placeholder: "code",
  secret: true,
});
const megabits = () => z.number().min(0.1).max(100_000).optional().meta({ placeholder: "mbps" });
/** Less would be gone before anything was loaded. */
const cap = () => byteSize(undefined, { minBytes: 1024 * 1024 }).optional();

export const nodeConfig = z.object({
  orchestrator: z.array(orchestratorUrl).min(1, "given at least once").max(MAX_ORCHESTRATORS)
    .describe("An orchestrator to share through."),
  code: z.array(code).max(MAX_ORCHESTRATORS).default([])
    .describe("The enrolment code of each orchestrator, in their order; needed the first time."),
  yes: z.boolean().default(false).describe("Agree to what is printed without being asked."),
  tunnels: z.int().min(1).max(MAX_NODE_TUNNELS).default(2).describe("Tunnels to each orchestrator.")
    .meta({ placeholder: "count" }),
  dailyCap: cap().describe("What may be shared a day, such as 5GiB; unlimited unless given."),
  monthlyCap: cap().describe("What may be shared a month."),
  monthDay: z.int().min(1).max(28).default(1).describe("On which day a month begins.").meta({ placeholder: "day" }),
  speedLimit: megabits().describe("What may be shared a second, each way, in Mbit/s."),
  uploadLimit: megabits().describe("The same towards the sites that are visited."),
  downloadLimit: megabits().describe("The same from them."),
  maxConnections: z.int().min(1).max(10_000).default(256).describe("Connections shared at once.")
    .meta({ placeholder: "count" }),
  schedule: z.array(span).max(64).default([])
    .describe('When to share, such as "mon-fri 22:00-06:00"; always unless given.'),
  minBattery: z.int().min(0).max(100).default(50)
    .describe("Below so many percent nothing is shared unless plugged in; 0 does not look.").meta({
      placeholder: "percent",
    }),
  metered: z.enum(["pause", "share"]).default("pause").describe("What to do on connections that are metered."),
  egressPolicy: filePath().optional().describe("What may be visited; a TOML file, followed while it changes."),
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
  country: z.string().regex(/^[a-z]{2}$/, "two lower-case letters").optional()
    .describe("Where this node is, such as de, if the orchestrator guesses wrongly.").meta({ placeholder: "xx" }),
  region: nameSchema.optional().describe("The same: its region.").meta({ placeholder: "name" }),
  city: nameSchema.optional().describe("The same: its city.").meta({ placeholder: "name" }),
  model: remarkSchema.optional().describe("What to tell orchestrators that this machine is.").meta({
    placeholder: "text",
  }),
});

export type NodeConfig = z.output<typeof nodeConfig>;

/** What the settings say together must make sense too. */
export function requireSensible({ orchestrator, code }: NodeConfig): void {
  const problems: string[] = [];
  const urls = orchestrator.map(({ url }) => url);
  if (new Set(urls).size < urls.length) problems.push("--orchestrator must name each once");
  if (code.length > orchestrator.length) {
    problems.push(`--code must be given once for each --orchestrator at most, got ${code.length}`);
  }
  if (problems.length > 0) throw new ConfigError("start node", problems);
}

const BYTES_PER_MEGABIT = 125_000;
/** New connections a second for each that may be open: a page opens dozens at once. */
const CONNECTION_RATE_SHARE = 0.25;
const DATAGRAM_SHARE = 0.25;

/** What the flags say, in the words of an egress policy. */
export function limitsOf(
  { speedLimit = Infinity, uploadLimit = Infinity, downloadLimit = Infinity, maxConnections }: NodeConfig,
): NodeLimits {
  return {
    max_connections: maxConnections,
    max_connections_per_second: Math.max(8, Math.ceil(maxConnections * CONNECTION_RATE_SHARE)),
    max_datagram_sockets: Math.max(1, Math.floor(maxConnections * DATAGRAM_SHARE)),
    max_upload_bytes_per_second: bytesPerSecond(Math.min(speedLimit, uploadLimit)),
    max_download_bytes_per_second: bytesPerSecond(Math.min(speedLimit, downloadLimit)),
  };
}

function bytesPerSecond(megabits: number): number | undefined {
  return Number.isFinite(megabits) ? Math.round(megabits * BYTES_PER_MEGABIT) : undefined;
}
