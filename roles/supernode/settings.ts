/**
 * What a supernode has to be told.
 */

import { z } from "zod";
import { urlSchema } from "../../protocol/fields.ts";
import { adminFlags } from "../admin_api/settings.ts";
import { networkFlags } from "../closed_network.ts";
import { ConfigError } from "../config.ts";
import { cidr, durationMs, hostName, listenAddress, portRange } from "../fields.ts";
import { kvFlag } from "../kv_store.ts";
import { regionName } from "../peer/settings.ts";
import { callerFlags, clientCaFlags } from "../mutual_tls.ts";
import { tlsFlags } from "../tls_files.ts";

export const ACTION = "start supernode";

export const supernodeSettings = z.object({
  region: regionName().describe("The region whose peers come here, such as eu-west."),
  listen: listenAddress("127.0.0.1:8450").describe("Where peers and other supernodes connect."),
  advertise: urlSchema.optional().describe("The URL under which others reach --listen.")
    .meta({ placeholder: "url", defaultText: "made from --listen" }),
  base: z.array(urlSchema.meta({ placeholder: "url" })).default([])
    .describe("A base to register with; several are tried in turn. Without one only exits here are known."),
  ...tlsFlags,
  ...kvFlag("supernode"),
  ...networkFlags,
  ...callerFlags,
  peeringListen: listenAddress().optional()
    .describe("Where other supernodes make their requests, if they are to show TLS certificates; else it is --listen."),
  peeringAdvertise: urlSchema.optional().describe("The URL under which they reach --peering-listen.")
    .meta({ placeholder: "url", defaultText: "made from --peering-listen" }),
  ...clientCaFlags,
  maxStreams: z.number().int().min(1).max(1_000_000).default(15_000).describe("Peers connected at once."),
  maxLinks: z.number().int().min(1).max(1_000_000).default(15_000).describe("Data links open at once."),
  authRate: z.number().min(1).max(1_000_000).default(20)
    .describe("Control streams that one address may open in a second; ten times as many at once.")
    .meta({ placeholder: "count" }),
  sessionLifetime: durationMs("12h", { minMs: 1_000, maxMs: 43_200_000 })
    .describe("How long a session lasts; its client renews it for as long as it is there."),
  relay: z.boolean().default(true).describe("Relay clients' packets, which are WireGuard's; --no-relay does not."),
  relayPorts: portRange("40000-49999").describe("UDP ports for that, one for each session."),
  relayHost: hostName().optional().describe("The address or name under which clients, exits and supernodes reach them.")
    .meta({ defaultText: "the host of --advertise or --listen" }),
  terminate: z.boolean().default(false)
    .describe(
      "Have the tunnels of clients that wish so end here. Needs root, and shows their packets to this machine.",
    ),
  relayPool: cidr("10.200.0.0/16").describe("Addresses for those clients."),
  relayInterface: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,10}$/, "an interface's name of at most 11 characters")
    .default("wg-relay").describe("The interface at which their tunnels end.").meta({ placeholder: "name" }),
  clientGrace: durationMs("60s").describe("How long sessions stay when their client has gone."),
  ...adminFlags,
});
export type SupernodeSettings = z.output<typeof supernodeSettings>;

/** Mutual TLS is for a port of its own, since peers that come to --listen have no certificates to show. */
export function requireWholePeering({ peeringListen, clientCaFile, certFile }: SupernodeSettings): void {
  if (!peeringListen && clientCaFile === undefined) return;
  if (!peeringListen || clientCaFile === undefined || certFile === undefined) {
    throw new ConfigError(ACTION, ["--peering-listen needs --client-ca-file, --cert-file and --key-file, and they it"]);
  }
}
