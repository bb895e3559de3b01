/**
 * `culvert base`: the directory of supernodes and relays over HTTP (`edge/directory.ts`). Several may run on one store.
 *
 *   supernodes, relays ─▶ --listen ─▶ --kv ◀─ --admin-listen ◀─ culvert admin, the dashboard
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { createDirectoryOnKv } from "../edge/directory/on_kv.ts";
import { remoteAddressOf } from "../edge/remote_address.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { formatTarget } from "../protocol/stream.ts";
import { adminFlags, requireSafeAdmin } from "./admin_api/settings.ts";
import { openBaseAdmin } from "./base/admin_port.ts";
import { networkFlags } from "./closed_network.ts";
import { ConfigError } from "./config.ts";
import { listenAddress } from "./fields.ts";
import { serveHttp } from "./http_server.ts";
import { kvFlag, openRoleKv } from "./kv_store.ts";
import { isLoopback } from "./listening.ts";
import { clientCaFlags, readClientCa } from "./mutual_tls.ts";
import { defineRole, type Role, runRole } from "./role.ts";
import { followTls, readFittingTls, tlsFlags } from "./tls_files.ts";
import { tracedFetch } from "./traced_fetch.ts";

const ACTION = "start base";

const config = z.object({
  listen: listenAddress("127.0.0.1:8480").describe("Where supernodes and relays find it."),
  ...tlsFlags,
  ...clientCaFlags,
  ...kvFlag("base"),
  ...networkFlags,
  authority: z.array(z.string().regex(/^[^\s/@]+$/, "a host or host:port").meta({ placeholder: "host:port" })).default(
    [],
  )
    .describe("A name this base goes by in URLs: requests signed for others are refused. Any name without one."),
  behindProxy: z.boolean().default(false)
    .describe("All requests come through a reverse proxy of ours: believe its X-Forwarded-For."),
  maxConnections: z.number().int().min(1).max(100_000).default(4096).describe("Connections open at once."),
  ...adminFlags,
});

export const role: Role<typeof config> = defineRole({
  name: "base",
  summary: "The directory of supernodes and relays: who is online, where, how loaded.",
  config,
  examples: [
    "culvert base",
    "culvert base --listen :443 --cert-file chain.pem --key-file key.pem",
    "culvert base --network-public-key O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=",
  ],
  async run(config, context) {
    const { signal, hardSignal, log, metrics, tracing, clock, random, stateDir } = context;
    requireSafeAdmin(config, ACTION);
    const tls = await readFittingTls(config, ACTION);
    if (config.clientCaFile !== undefined && !tls) {
      throw new ConfigError(ACTION, ["--client-ca-file needs --cert-file and --key-file"]);
    }
    if (!tls && !isLoopback(config.listen)) {
      log.warn("Base is not encrypted: put TLS in front of it, or give --cert-file and --key-file", {
        listen: formatTarget(config.listen),
      });
    }
    if (config.authority.length === 0 && !isLoopback(config.listen)) {
      log.warn("Base takes what is signed for any name: give --authority with the one that supernodes use for it");
    }
    using kv = await openRoleKv(config, { role: "base", stateDir });
    const app = createDirectoryOnKv(kv, {
      clock,
      random,
      log,
      metrics,
      primitives: hostPrimitives(),
      version: deno.version,
      networkPublicKey: config.networkPublicKey,
      authorities: config.authority.length > 0 ? config.authority.map((name) => name.toLowerCase()) : undefined,
    });
    await using server = await serveHttp({
      listen: config.listen,
      what: "base",
      flag: "--listen",
      fetch: tracedFetch(
        tracing,
        (request, { remoteAddress }) =>
          app.fetch(request, { remoteAddress: remoteAddressOf(request.headers, remoteAddress, config) }),
      ),
      maxConnections: config.maxConnections,
      ...(tls && { tls }),
      clientCa: await readClientCa(config, ACTION),
    });
    using _following = tls &&
      followTls(config, { clock, log, current: tls, onChange: (pair) => server.renewTls(pair) });
    await using admin = await openBaseAdmin(config, kv, context);
    context.ready({ addresses: { listen: server.address, ...admin?.addresses } });
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await server.shutdown(hardSignal);
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
