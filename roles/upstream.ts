/**
 * `culvert upstream`: where clients of fragments send. It passes on what they send to the central they name, if base
 * knows that one, and can read none of it.
 *
 *   clients ─▶ --listen ─▶ centrals of --base
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { createUpstream, FRAGMENTS_PATH } from "../edge/upstream.ts";
import { UPSTREAM_BOUNDS, UpstreamRelay } from "../edge/upstream/relay.ts";
import { Doorkeeper } from "../edge/relay_app.ts";
import { webSocketUpgrade } from "../edge/web_socket_upgrade.ts";
import { RelayHops } from "../net/fragments/relay_hops.ts";
import { aborted } from "../protocol/abort.ts";
import { byteSize, listenAddress } from "./fields.ts";
import { clientFlags, clientLimitsOf } from "./relay_client_flags.ts";
import { emptied, relayPool, serveRelay } from "./relay_port.ts";
import { openRelayParts, relayFlags } from "./relay_settings.ts";
import { defineRole, type Role, runRole } from "./role.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:8461").describe("Where clients connect."),
  ...relayFlags,
  ...clientFlags,
  maxClients: z.number().int().min(1).max(1_000_000).default(16_384).describe(
    "Clients connected by WebSocket at once.",
  ),
  sessionRate: byteSize("64MiB", { minBytes: 2 ** 20 }).describe("Bytes a second that one session may send."),
});

export const role: Role<typeof config> = defineRole({
  name: "upstream",
  summary: "Takes fragments from clients and passes them on to central; reads none of them.",
  config,
  examples: [
    "culvert upstream --base http://127.0.0.1:8480",
    "culvert upstream --base https://base.example --listen :443 --config tls.toml",
  ],
  async run(config, context) {
    const { signal, clock, random, log, metrics } = context;
    const { token } = config;
    const options = { kind: "upstream", action: "start upstream", others: ["central"] } as const;
    await using parts = await openRelayParts(config, options, context);
    const pool = relayPool();
    const hops = new RelayHops({ ...parts, clock, random, pool });
    using relay = new UpstreamRelay({
      relays: parts.relays,
      dialHop: hops.dial,
      clock,
      random,
      log,
      metrics,
      limits: {
        address: clientLimitsOf(config),
        session: { perSecond: config.sessionRate, burst: Math.max(2 ** 20, config.sessionRate / 4) },
        maxChannels: config.maxClients,
      },
    });
    const { primitives } = parts;
    const app = createUpstream({
      relay,
      version: deno.version,
      primitives,
      token,
      log,
      upgrade: webSocketUpgrade(clock),
    });
    const door = new Doorkeeper(relay, { primitives, token });
    await using port = serveRelay({
      settings: config,
      tls: parts.tls,
      app,
      relay,
      pool,
      sockets: {
        [FRAGMENTS_PATH]: {
          bounds: UPSTREAM_BOUNDS,
          refusalOf: (remoteAddress, authorization) => door.refusalOf(remoteAddress, authorization),
          serve: (channel, remoteAddress, settled) => relay.join(channel, remoteAddress, settled),
        },
      },
    }, context);
    const url = parts.urlOf(port.address);
    await using registrar = parts.register({ url, current: () => ({ load: relay.load }) });
    context.check("base", () => registrar.problem);
    context.check("relays", () => parts.relays.problem);
    context.ready({ addresses: { listen: port.address } });
    await aborted(signal);
    port.close();
    relay.drain();
    registrar.hurry();
    await emptied(() => relay.clients === 0, context);
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
