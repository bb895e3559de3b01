/**
 * `culvert tunnel`: the far end of a tunnel. Near ends connect to it by WebSocket, and what they dial is dialled here.
 *
 *   culvert proxy --path tunnel+wss://TOKEN@here/ ─▶ --listen ─▶ --path (direct: by default) ─▶ …
 */

import { z } from "zod";
import { TunnelServer } from "../net/tunnel_server.ts";
import { formatTarget } from "../protocol/stream.ts";
import { ConfigError } from "./config.ts";
import { listenAddress, secret } from "./fields.ts";
import { isLoopback, listenOn } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { followTls, readFittingTls, tlsFlags } from "./tls_files.ts";
import { openWayOut, wayOut } from "./way_out.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:8443").describe("Where near ends connect."),
  token: secret().optional().describe("What a near end must know. Best given as CULVERT_TOKEN."),
  open: z.boolean().default(false).describe("Allow a port that others can reach and nobody needs a token for."),
  ...tlsFlags,
  urlPath: z.string().regex(/^\/[\x21-\x7e]*$/, "a path that begins with /").default("/")
    .describe("The only URL path that is a tunnel; the rest is 404.").meta({ placeholder: "path" }),
  ...wayOut,
  maxLinks: z.number().int().min(1).max(100_000).default(1024).describe("Links from near ends at once."),
});

export const role: Role<typeof config> = defineRole({
  name: "tunnel",
  summary: "The far end of tunnels: what near ends dial is dialled here.",
  config,
  examples: [
    "culvert tunnel --egress-policy policy.toml",
    "culvert tunnel --cert-file chain.pem --key-file key.pem",
    "CULVERT_TOKEN=T culvert tunnel --listen :443 --config tunnel.toml",
  ],
  async run(config, context) {
    const { signal, hardSignal, log, metrics, clock } = context;
    if (!isLoopback(config.listen) && config.token === undefined && !config.open) {
      throw new ConfigError("start tunnel", [
        `others can reach ${formatTarget(config.listen)}, so give a token (CULVERT_TOKEN), or --open`,
      ]);
    }
    const tls = await readFittingTls(config, "start tunnel");
    if (!tls && !isLoopback(config.listen)) warnOfPlainText(context, formatTarget(config.listen));
    await using onward = await openWayOut(config, "start tunnel", context);
    using server = listenOn(config.listen, (listen) =>
      new TunnelServer({
        listen,
        onward: onward.path,
        clock,
        log,
        metrics,
        urlPath: config.urlPath,
        ...(tls && { tls }),
        ...(config.token !== undefined && { token: config.token }),
        limits: { maxLinks: config.maxLinks },
      }));
    using _following = tls &&
      followTls(config, { clock, log, current: tls, onChange: (pair) => server.renewTls(pair) });
    const { hostname, port } = server.address;
    context.ready({ addresses: { listen: formatTarget({ host: hostname, port }) } });
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await server.shutdown(hardSignal);
  },
});

function warnOfPlainText({ log }: RoleContext, at: string): void {
  log.warn("The tunnel is not encrypted: put TLS in front of it, or give --cert-file and --key-file", { listen: at });
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
