/**
 * `culvert tunnel`: the far end of a tunnel. Near ends connect to it by WebSocket, and what they dial is dialled here.
 *
 *   culvert proxy --path tunnel+wss://TOKEN@here/ ─▶ --listen ─▶ --path (direct: by default) ─▶ …
 */

import { z } from "zod";
import { openPaths, pathPrefixes } from "../net/open.ts";
import { TunnelServer } from "../net/tunnel_server.ts";
import { CulvertError } from "../protocol/errors.ts";
import { formatTarget } from "../protocol/stream.ts";
import { openPolicy } from "./egress_policy.ts";
import { filePath, listenAddress, secret } from "./fields.ts";
import { isLoopback, listenOn } from "./listening.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:8443").describe("Where near ends connect."),
  token: secret().optional().describe("What a near end must know. Best given as CULVERT_TOKEN."),
  open: z.boolean().default(false).describe("Allow a port that others can reach and nobody needs a token for."),
  certFile: filePath().optional().describe("The certificate chain for TLS, in PEM; needs --key-file."),
  keyFile: filePath().optional().describe("The certificate's private key, in PEM."),
  urlPath: z.string().regex(/^\/[\x21-\x7e]*$/, "a path that begins with /").default("/")
    .describe("The only URL path that is a tunnel; the rest is 404.").meta({ placeholder: "path" }),
  path: z.array(
    z.string().refine((url) => pathPrefixes.some((prefix) => url.startsWith(prefix)), {
      error: `a URL that begins with ${pathPrefixes.join(", ")}`,
    }).meta({ placeholder: "url", secret: true }),
  ).default(["direct:"]).describe("The way onward from here."),
  combine: z.enum(["failover", "balance", "race"]).default("failover")
    .describe("How several paths act as one.").meta({ placeholder: "how" }),
  egressPolicy: filePath().optional().describe("What direct: may dial; a TOML file, followed while it changes."),
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
  maxLinks: z.number().int().min(1).max(100_000).default(1024).describe("Links from near ends at once."),
});

export const role: Role<typeof config> = defineRole({
  name: "tunnel",
  summary: "The far end of tunnels: what near ends dial is dialled here.",
  config,
  examples: [
    "culvert tunnel --egress-policy policy.toml",
    "culvert tunnel --listen :443 --cert-file chain.pem --key-file key.pem",
  ],
  async run(config, context) {
    const { signal, hardSignal, log, metrics, clock, random } = context;
    if (!isLoopback(config.listen) && config.token === undefined && !config.open) {
      throw new CulvertError(
        "open_tunnel",
        `Cannot start tunnel: others can reach ${formatTarget(config.listen)}, so give a token, or --open`,
      );
    }
    const tls = await readTls(config);
    if (!tls && !isLoopback(config.listen)) warnOfPlainText(context, formatTarget(config.listen));
    using policy = await openPolicy(config.egressPolicy, context);
    const caCerts = config.caFile === undefined ? undefined : [await Deno.readTextFile(config.caFile)];
    using onward = openPaths(config.path, config.combine, {
      clock,
      random,
      log,
      metrics,
      policy,
      ...(caCerts && { caCerts }),
    });
    using server = listenOn(config.listen, (listen) =>
      new TunnelServer({
        listen,
        onward,
        clock,
        log,
        metrics,
        urlPath: config.urlPath,
        ...(tls && { tls }),
        ...(config.token !== undefined && { token: config.token }),
        limits: { maxLinks: config.maxLinks },
      }));
    const { hostname, port } = server.address;
    context.ready({ addresses: { listen: formatTarget({ host: hostname, port }) } });
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await server.shutdown(hardSignal);
  },
});

async function readTls(
  config: { readonly certFile?: string | undefined; readonly keyFile?: string | undefined },
): Promise<{ cert: string; key: string } | undefined> {
  const { certFile, keyFile } = config;
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    throw new CulvertError("bad_tls", "Cannot start tunnel: --cert-file and --key-file go together");
  }
  return { cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) };
}

function warnOfPlainText({ log }: RoleContext, at: string): void {
  log.warn("The tunnel is not encrypted: put TLS in front of it, or give --cert-file and --key-file", { listen: at });
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
