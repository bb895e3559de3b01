/**
 * What a service file may say: `culvert manager` reads `NAME.toml` by this, `culvert manager install` writes it by this.
 *
 *   role = "kcp-client"              one of our own, or: command = ["/usr/local/bin/paqet", "run", "-c", "…"]
 *   config = "kcp.toml"
 *   listen = ["127.0.0.1:1080"]
 *   [probe]                          end to end
 *   through = "socks5://127.0.0.1:1080"
 *   url = "http://example.com/"
 *   [limits]
 *   memory = "512MiB"
 *   [environment]                    names and values as they are
 *   [watchdog]                       this service's own, by the names of watchdog.toml
 *
 * The last two are no fields of this schema: one has any keys, the other is `watchdog.toml`'s.
 */

import { z } from "zod";
import { parseIp } from "../../protocol/ip.ts";
import type { ServicePort } from "../../protocol/manager/service.ts";
import { formatTarget, parseTarget } from "../../protocol/stream.ts";
import { byteSize, directoryPath, durationMs, filePath, pathUrl } from "../fields.ts";

const PORT_RULE = "an address or localhost with a port, as address:port, tcp:address:port or udp:address:port";

export const serviceFileSchema = z.object({
  description: z.string().max(100).regex(/^\P{Cc}*$/u, "one line of at most 100 characters").optional()
    .describe("One line for people."),
  role: z.string().optional().describe("The role of culvert that it runs; this or command."),
  config: filePath().optional().describe("The role's configuration file; a relative one starts beside this file."),
  flags: z.array(z.string().regex(/^[^\0]*$/, "text without a zero byte")).max(1000).default([])
    .describe("More flags of the role."),
  command: z.array(z.string().regex(/^[^\0]*$/, "text without a zero byte")).min(1).max(1000).optional()
    .describe("The program's whole path and its arguments, which no shell reads; this or role."),
  user: z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "a user's name").optional()
    .describe("Who runs it; without it, whoever runs the manager."),
  directory: directoryPath().optional().describe("Where it is started."),
  enabled: z.boolean().default(true).describe("Whether it starts with the manager."),
  listen: z.array(servicePort()).max(64).default([]).describe(
    "What must listen once it runs: address:port, or udp:address:port; of names only localhost.",
  ),
  ready: z.enum(["notify", "listen"]).optional()
    .describe("When it counts as started: by sd_notify, or as soon as it listens.")
    .meta({ defaultText: "notify for a role, listen for a command" }),
  connects: z.boolean().default(true).describe("Whether a connection is tried at what listens."),
  probe: z.object({
    through: pathUrl(undefined, { schemes: ["socks5", "http"] }).optional()
      .describe("The proxy to ask through; without it the URL itself is asked."),
    url: pathUrl(undefined, { schemes: ["http", "https"] }).optional().describe("What is asked, end to end."),
    status: z.int().min(100).max(599).optional().describe("The status to expect.")
      .meta({ defaultText: "any below 500" }),
    timeout: durationMs("10s", { minMs: 100, maxMs: 120_000 }).describe("How long it may take."),
  }).optional(),
  limits: z.object({
    memory: byteSize(undefined, { minBytes: 1024 * 1024 }).optional().describe("Restarted when it holds more."),
    openFiles: z.int().min(16).max(10_000_000).optional().describe("Restarted when it has more open."),
    cpuPercent: z.number().positive().max(100_000).optional().describe(
      "Restarted when it takes more; 100 is one core.",
    ),
    over: durationMs("1m", { maxMs: 86_400_000 }).describe("For how long it has to be above a limit."),
  }),
  capabilities: z.array(z.string().regex(/^CAP_[A-Z_]{1,40}$/, "a capability such as CAP_NET_RAW")).max(64).optional()
    .describe("Rights of root that it needs; [] where its configuration asks for none. Without it: those of its role."),
  writable: z.array(z.string().regex(/^\/[^\0\n]*$/, "a whole path")).max(64).optional()
    .describe("Under systemd: paths that it writes to beside its state directory."),
  log: z.object({
    max: byteSize("10MiB", { minBytes: 64 * 1024 }).describe("Its log is cut beyond this; as much again is kept."),
  }),
});

export type ServiceFile = z.output<typeof serviceFileSchema>;

function servicePort(): z.ZodType<ServicePort> {
  return z.string().meta({ placeholder: "address:port", rule: PORT_RULE }).transform((text, context): ServicePort => {
    const port = parseServicePort(text);
    if (port) return port;
    context.issues.push({ code: "custom", message: PORT_RULE, input: text });
    return z.NEVER;
  });
}

/** The kernel's table, in which it is looked for, knows addresses alone. */
export function parseServicePort(text: string): ServicePort | undefined {
  const [, kind = "tcp", place] = /^(?:(tcp|udp):)?(.*)$/s.exec(text)!;
  const at = parseTarget(place!.startsWith(":") ? `0.0.0.0${place}` : place!);
  if (!at || !parseIp(at.host) && at.host !== "localhost") return undefined;
  return { kind: kind as ServicePort["kind"], at };
}

export function formatServicePort({ kind, at }: ServicePort): string {
  return kind === "tcp" ? formatTarget(at) : `udp:${formatTarget(at)}`;
}
