/**
 * `culvert proxy`: a local port that speaks SOCKS5, SOCKS4a and HTTP, whose traffic leaves by the paths it is given.
 *
 *   program ─▶ --listen ─▶ one path, or several as one (--combine) ─▶ …
 */

import { z } from "zod";
import { serveProxy } from "../net/proxy.ts";
import { formatTarget } from "../protocol/stream.ts";
import { ConfigError } from "./config.ts";
import { durationMs, listenAddress } from "./fields.ts";
import { isLoopback, listenOn } from "./listening.ts";
import { defineRole, type Role, runRole } from "./role.ts";
import { openWayOut, wayOut } from "./way_out.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").describe("Where programs find the proxy."),
  ...wayOut,
  user: z.array(
    z.string().regex(/^[^:]+:.+$/, "name:password").meta({ placeholder: "name:password", secret: true }),
  ).default([]).describe("Who may come in. Without any, everyone may."),
  open: z.boolean().default(false).describe("Allow a port that others can reach and nobody needs a password for."),
  maxConnections: z.number().int().min(1).max(1_000_000).default(10_000).describe("Connections open at once."),
  handshakeTimeout: durationMs("10s", { minMs: 10 }).describe("How long a program may take over its request."),
  dialTimeout: durationMs("30s", { minMs: 10 }).describe("How long a target may take to answer."),
});

export const role: Role<typeof config> = defineRole({
  name: "proxy",
  summary: "A local SOCKS5, SOCKS4a and HTTP proxy whose traffic leaves by a path.",
  config,
  examples: [
    "culvert proxy",
    "culvert proxy --path tunnel+wss://TOKEN@exit.example.org/",
    "culvert proxy --path tunnel+wss://T@a.example/ --path direct: --combine race",
  ],
  async run(config, context) {
    const { signal, hardSignal, log, metrics, clock } = context;
    if (!isLoopback(config.listen) && config.user.length === 0 && !config.open) {
      throw new ConfigError("start proxy", [
        `others can reach ${formatTarget(config.listen)}, so give --user name:password, or --open`,
      ]);
    }
    await using onward = await openWayOut(config, "start proxy", context);
    using proxy = listenOn(config.listen, (listen) =>
      serveProxy({
        listen,
        path: onward.path,
        clock,
        log,
        metrics,
        ...(config.user.length > 0 && { auth: credentials(config.user) }),
        limits: {
          maxConnections: config.maxConnections,
          handshakeTimeoutMs: config.handshakeTimeout,
          dialTimeoutMs: config.dialTimeout,
        },
      }));
    const { hostname, port } = proxy.address;
    context.ready({ addresses: { listen: formatTarget({ host: hostname, port }) } });
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await proxy.shutdown(hardSignal);
  },
});

function credentials(users: readonly string[]): Record<string, string> {
  return Object.fromEntries(users.map((user) => {
    const colon = user.indexOf(":");
    return [user.slice(0, colon), user.slice(colon + 1)];
  }));
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
