/**
 * The settings with which a role serves its administrators: an API for `culvert admin`, and the dashboard.
 */

import { z } from "zod";
import { formatTarget } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { hostName, listenAddress, secret } from "../fields.ts";
import { isLoopback } from "../listening.ts";

/** Of one that somebody chooses: shorter ones can be guessed, however few guesses are looked at. */
const MIN_TOKEN_LENGTH = 16;

export const adminFlags = {
  adminApi: z.boolean().default(true)
    .describe("Serve culvert admin and the dashboard, on this machine alone; --no-admin-api does not."),
  adminListen: listenAddress("127.0.0.1:0").describe("Where; culvert admin finds any port by --state-dir."),
  adminHost: z.array(hostName()).default([])
    .describe("A name under which a reverse proxy of yours serves the dashboard; others are refused."),
  adminToken: secret({ minLength: MIN_TOKEN_LENGTH }).optional()
    .describe(
      "What an administrator must know, best given as CULVERT_ADMIN_TOKEN; without it whoever can read --state-dir is one.",
    ),
};
export type AdminSettings = z.output<z.ZodObject<typeof adminFlags>>;

/** What is for administrators is unencrypted, so it stays on this machine. */
export function requireSafeAdmin({ adminApi, adminListen }: AdminSettings, action: string): void {
  if (!adminApi || isLoopback(adminListen)) return;
  throw new ConfigError(action, [
    `--admin-listen must be a loopback address, since it is not encrypted, got ${formatTarget(adminListen)}`,
  ]);
}
