/**
 * What a supernode has to be told.
 */

import { z } from "zod";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { urlSchema } from "../../protocol/fields.ts";
import { KEY_BYTES } from "../../protocol/primitives.ts";
import { formatTarget } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { durationMs, filePath, listenAddress, secret } from "../fields.ts";
import { kvFlag } from "../kv_store.ts";
import { isLoopback } from "../listening.ts";
import { regionName } from "../peer/settings.ts";
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
  networkKey: z.string().refine((text) => decodeBase64(text)?.length === KEY_BYTES, { error: "32 bytes in base64" })
    .optional()
    .describe("The public key of a closed network, as culvert enroll shows it; without one anybody may connect.")
    .meta({ placeholder: "key" }),
  caFile: filePath().optional().describe("Certificates to trust beside the usual ones, in PEM."),
  maxStreams: z.number().int().min(1).max(1_000_000).default(15_000).describe("Peers connected at once."),
  maxLinks: z.number().int().min(1).max(1_000_000).default(15_000).describe("Data links open at once."),
  authRate: z.number().min(1).max(1_000_000).default(20)
    .describe("Control streams that one address may open in a second; ten times as many at once.")
    .meta({ placeholder: "count" }),
  clientGrace: durationMs("60s").describe("How long sessions stay when their client has gone."),
  adminListen: listenAddress().optional().describe("Serve the administrators' API here; needs --admin-token."),
  adminToken: secret().optional().describe("What an administrator must know. Best given as CULVERT_ADMIN_TOKEN."),
});
export type SupernodeSettings = z.output<typeof supernodeSettings>;

/** The administrators' API is for who knows a token, and unencrypted, so it stays on this machine. */
export function requireSafeAdmin({ adminListen, adminToken }: SupernodeSettings): void {
  if (!adminListen) return;
  if (adminToken === undefined) {
    throw new ConfigError(ACTION, ["--admin-listen needs a token (CULVERT_ADMIN_TOKEN)"]);
  }
  if (!isLoopback(adminListen)) {
    throw new ConfigError(ACTION, [
      `--admin-listen must be a loopback address, since it is not encrypted, got ${formatTarget(adminListen)}`,
    ]);
  }
}
