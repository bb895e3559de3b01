/**
 * `culvert downstream`: where clients of fragments listen. Centrals that base knows post here what is for a client, which
 * comes for it, and nobody here can read any of it. Several may serve one address if they share a store and an identity.
 *
 *   centrals of --base ─▶ --listen ─▶ clients        processes of the same downstream ◀─▶ --kv
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { createDownstream, HOP_PATH, MAILBOX_PATH } from "../edge/downstream.ts";
import { HOP_BOUNDS, LISTENER_BOUNDS } from "../edge/downstream/limits.ts";
import { DownstreamRelay } from "../edge/downstream/relay.ts";
import { Doorkeeper } from "../edge/relay_app.ts";
import { webSocketUpgrade } from "../edge/web_socket_upgrade.ts";
import { createKvMailboxes } from "../kv/mailbox.ts";
import { RelayHops } from "../net/fragments/relay_hops.ts";
import { aborted } from "../protocol/abort.ts";
import { byteSize, durationMs, listenAddress } from "./fields.ts";
import { kvFlag, openRoleKv } from "./kv_store.ts";
import { clientFlags, clientLimitsOf } from "./relay_client_flags.ts";
import { emptied, relayPool, serveRelay } from "./relay_port.ts";
import { openRelayParts, relayFlags } from "./relay_settings.ts";
import { defineRole, type Role, runRole } from "./role.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:8463").describe("Where clients and centrals connect."),
  ...relayFlags,
  ...clientFlags,
  ...kvFlag("downstream"),
  maxMailboxes: z.number().int().min(16).max(1_000_000).default(16_384).describe("Sessions at once."),
  mailboxSize: byteSize("64KiB", { minBytes: 1024, maxBytes: 2 ** 24 })
    .describe("What is kept for a session that nobody listens to."),
  mailboxMemory: byteSize("64MiB", { minBytes: 2 ** 20 }).describe("What is kept for all sessions."),
  mailboxExpiry: durationMs("30s", { minMs: 1000 }).describe("How long it is kept while nobody listens."),
});

export const role: Role<typeof config> = defineRole({
  name: "downstream",
  summary: "Keeps what central posts for a client until that comes for it; reads none of it.",
  config,
  examples: [
    "culvert downstream --base http://127.0.0.1:8480",
    "culvert downstream --base https://base.example --listen :443 --config tls.toml",
    "culvert downstream --base http://127.0.0.1:8480 --kv shared.kv",
  ],
  async run(config, context) {
    const { signal, clock, random, log, metrics, stateDir } = context;
    const { token } = config;
    const options = { kind: "downstream", action: "start downstream", others: ["central"] } as const;
    await using parts = await openRelayParts(config, options, context);
    using kv = await openRoleKv(config, { role: "downstream", stateDir });
    const pool = relayPool();
    const { primitives, identity, relays } = parts;
    const hops = new RelayHops({ ...parts, clock, random, pool });
    await using relay = new DownstreamRelay({
      relays,
      acceptHop: hops.accept,
      mailboxes: createKvMailboxes(kv, clock, { space: identity.peerId }),
      primitives,
      clock,
      random,
      log,
      metrics,
      limits: {
        address: clientLimitsOf(config),
        maxMailboxes: config.maxMailboxes,
        unheardBytes: config.mailboxSize,
        allBytes: config.mailboxMemory,
        unheardMs: config.mailboxExpiry,
      },
    });
    const app = createDownstream({
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
        [MAILBOX_PATH]: {
          bounds: LISTENER_BOUNDS,
          refusalOf: (remoteAddress, authorization) => door.refusalOf(remoteAddress, authorization),
          serve: (channel, remoteAddress, settled) => relay.listen(channel, remoteAddress, settled),
        },
        [HOP_PATH]: {
          bounds: HOP_BOUNDS,
          refusalOf: (remoteAddress) => relay.refusalOf(remoteAddress),
          serve: (channel, _remoteAddress, settled) => relay.joinHop(channel, settled),
        },
      },
    }, context);
    const url = parts.urlOf(port.address);
    await using registrar = parts.register({ url, current: () => ({ load: relay.load }) });
    context.check("base", () => registrar.problem);
    context.check("relays", () => relays.problem);
    context.check("store", () => relay.problem);
    context.ready({ addresses: { listen: port.address } });
    await aborted(signal);
    port.close();
    relay.drain();
    registrar.hurry();
    await emptied(() => relay.listeners === 0, context);
  },
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
