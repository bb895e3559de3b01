/**
 * `culvert tracker`: introduces peers to each other over HTTP (`edge/tracker.ts`). Several may run on one store.
 *
 *   peers ─▶ --listen ─▶ --kv
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { remoteAddressOf } from "../edge/remote_address.ts";
import { DEFAULT_ADDRESS_PER_SECOND } from "../edge/tracker/limits.ts";
import { openTracker } from "../edge/tracker/open.ts";
import { bearerIn } from "../edge/bearer.ts";
import type { Tracker } from "../edge/tracker.ts";
import { heartbeat } from "../edge/tracker/api.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { HttpPort, type PlainRequest } from "../net/http_port.ts";
import { CulvertError } from "../protocol/errors.ts";
import { valuesOf } from "../protocol/http_head.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import { ConfigError } from "./config.ts";
import { durationMs, filePath, hostName, listenAddress } from "./fields.ts";
import { kvFlag, openRoleKv } from "./kv_store.ts";
import { isLoopback, whyNotListening } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { followTls, readFittingTls, tlsFlags, type TlsPair } from "./tls_files.ts";
import { followDenyFile } from "./tracker/deny_file.ts";
import { tracedFetch } from "./traced_fetch.ts";

const ACTION = "start tracker";

const config = z.object({
  listen: listenAddress().optional().describe("Where peers find it; given, the next two are not looked at.")
    .meta({ defaultText: "--bind-address with --port" }),
  bindAddress: hostName("0.0.0.0").describe("The address to listen on; also read from RELAY_BIND_ADDRESS.")
    .meta({ alsoFrom: "RELAY_BIND_ADDRESS" }),
  port: z.number().int().min(0).max(65_535).default(3000).describe("The port to listen on; also read from RELAY_PORT.")
    .meta({ alsoFrom: "RELAY_PORT", placeholder: "port" }),
  ...tlsFlags,
  ...kvFlag("tracker"),
  databaseUrl: z.string().optional().describe("The same as --kv, for URLs; also read from DATABASE_URL.")
    .meta({ alsoFrom: "DATABASE_URL", placeholder: "url", secret: true }),
  joinTokenFile: filePath().optional()
    .describe("Only those who have what is in this file may join, and only those who joined may ask."),
  denyFile: filePath().optional().describe("Peer ids, addresses and networks to turn away; followed while it changes."),
  interval: durationMs("60s", { minMs: 1000, maxMs: 86_400_000 / 3 })
    .describe("How often peers send heartbeats; after three without one a peer is forgotten."),
  authority: z.array(z.string().regex(/^[^\s/@]+$/, "a host or host:port").meta({ placeholder: "host:port" })).default(
    [],
  ).describe("A name this tracker goes by in URLs: requests for others are refused. Any name without one."),
  trustProxy: z.boolean().default(false)
    .describe("All requests come through a reverse proxy of ours: believe its X-Forwarded-For."),
  maxPeers: z.number().int().min(1).max(10_000_000).default(200_000).describe("Peers that are listed at once."),
  maxListeners: z.number().int().min(0).max(100_000).default(1000).describe("Streams of events at once."),
  maxConnections: z.number().int().min(1).max(1_000_000).default(10_000).describe("Connections open at once."),
  maxPerAddress: z.number().int().min(1).max(1_000_000).default(512).describe("The same, of one address."),
  addressRate: z.number().int().min(1).max(10_000_000).default(DEFAULT_ADDRESS_PER_SECOND)
    .describe("Requests a second from one address."),
});

export const role: Role<typeof config> = defineRole({
  name: "tracker",
  summary: "Introduces peers to each other; what they send each other never comes here.",
  config,
  examples: [
    "culvert tracker",
    "culvert tracker --listen :443 --cert-file chain.pem --key-file key.pem",
    "RELAY_PORT=3001 culvert tracker --kv :memory: --deny-file deny.txt",
  ],
  async run(config, context) {
    const { signal, hardSignal, log, metrics, clock, random } = context;
    const listen = config.listen ?? { host: config.bindAddress, port: config.port };
    const tls = await readFittingTls(config, ACTION);
    if (!tls) warnOfPlain(listen, log);
    const joinToken = await readJoinToken(config.joinTokenFile);
    using deny = await followDenyFile(config.denyFile, ACTION, context);
    using kv = await openStore(config, context.stateDir);
    await using tracker = await openTracker({
      kv,
      clock,
      random,
      log,
      metrics,
      primitives: hostPrimitives(),
      version: deno.version,
      intervalMs: config.interval,
      joinToken,
      deny,
      authorities: config.authority.length > 0 ? config.authority.map((name) => name.toLowerCase()) : undefined,
      maxPeers: config.maxPeers,
      maxListeners: config.maxListeners,
      addressPerSecond: config.addressRate,
    });
    await using port = servePort(tracker.app, { config, listen, tls, context });
    using _following = tls &&
      followTls(config, { clock, log, current: tls, onChange: (pair) => port.renewTls(pair) });
    const address = formatTarget({ host: port.address.hostname, port: port.address.port });
    context.ready({ addresses: { listen: address }, note: `peers known ${tracker.peers()}` });
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    tracker.app[Symbol.dispose](); // streams of events would go on
    await port.shutdown(hardSignal);
  },
});

interface PortSettings {
  readonly config: z.output<typeof config>;
  readonly listen: Target;
  readonly tls: TlsPair | undefined;
  readonly context: Pick<RoleContext, "clock" | "log" | "metrics" | "tracing">;
}

/** Heartbeats are answered without a Request being made of them. */
function servePort(app: Tracker, { config, listen, tls, context }: PortSettings): HttpPort {
  const proxy = { behindProxy: config.trustProxy };
  const options = {
    listen: { hostname: listen.host, port: listen.port },
    tls,
    quick({ head: { method, target, fields }, body, remoteAddress }: PlainRequest) {
      if (method !== "POST" || target !== heartbeat.path) return undefined;
      const token = bearerIn(valuesOf(fields, "authorization")[0] ?? "");
      const host = () => valuesOf(fields, "host")[0]?.toLowerCase();
      const headers = { get: (name: string) => valuesOf(fields, name).at(-1) ?? null };
      return app.heartbeat({ token, body, host }, { remoteAddress: remoteAddressOf(headers, remoteAddress, proxy) });
    },
    fetch: tracedFetch(
      context.tracing,
      (request: Request, remoteAddress: string) =>
        app.fetch(request, { remoteAddress: remoteAddressOf(request.headers, remoteAddress, proxy) }),
    ),
    limits: { maxConnections: config.maxConnections, maxPerAddress: config.maxPerAddress },
    ...context,
  };
  try {
    return new HttpPort(options);
  } catch (error) {
    const where = `--listen ${formatTarget(listen)}: ${whyNotListening(error)}`;
    throw new CulvertError("cannot_listen", `Cannot serve the tracker on ${where}`, { cause: error });
  }
}

function warnOfPlain(listen: Target, log: { warn(message: string, fields: { listen: string }): void }): void {
  if (isLoopback(listen)) return;
  log.warn("The tracker is not encrypted: put TLS in front of it, or give --cert-file and --key-file", {
    listen: formatTarget(listen),
  });
}

interface StoreSettings {
  readonly kv?: string | undefined;
  readonly databaseUrl?: string | undefined;
}

/** Undefined for what is to last as long as the process. */
async function openStore({ kv, databaseUrl }: StoreSettings, stateDir: string): Promise<Deno.Kv | undefined> {
  const location = kv ?? (databaseUrl || undefined);
  if (kv === undefined && location !== undefined && !/^https?:\/\//i.test(location)) {
    // The rest of it may hold a password.
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(location)?.[0] ?? "something else";
    throw new ConfigError(ACTION, [
      `DATABASE_URL must be the https URL of a denokv, got ${scheme}; peers are kept in Deno KV alone: leave it out for a ` +
      "file in the state directory, or give --kv",
    ]);
  }
  return location === ":memory:" ? undefined : await openRoleKv({ kv: location }, { role: "tracker", stateDir });
}

async function readJoinToken(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = (await Deno.readTextFile(path)).trim();
  } catch {
    throw new ConfigError(ACTION, ["--join-token-file must be a file that can be read"]);
  }
  if (/^[!-~]{8,256}$/.test(text)) return text;
  throw new ConfigError(ACTION, ["--join-token-file must hold one line of 8 to 256 characters without spaces"]);
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
