/**
 * What upstreams and downstreams are told of their clients: how to tell them apart, and how much they may.
 */

import { z } from "zod";
import type { ClientLimitOptions } from "../edge/client_limits.ts";
import { byteSize, secret } from "./fields.ts";

export const clientFlags = {
  token: secret().optional().describe("What clients must know. Best given as CULVERT_TOKEN."),
  behindProxy: z.boolean().default(false)
    .describe("All requests come through a reverse proxy of ours: believe its X-Forwarded-For."),
  maxPerAddress: z.number().int().min(1).max(100_000).default(1024)
    .describe("WebSockets of one address at once."),
  attemptRate: z.number().min(1).max(1_000_000).default(100)
    .describe("Connections, sessions and polls of one address in a second; twenty times as many at once.")
    .meta({ placeholder: "count" }),
  addressRate: byteSize("256MiB", { minBytes: 2 ** 20 }).describe("Bytes a second that one address may send."),
};

export type ClientSettings = z.output<z.ZodObject<typeof clientFlags>>;

export function clientLimitsOf({ maxPerAddress, attemptRate, addressRate }: ClientSettings): ClientLimitOptions {
  return {
    maxChannels: maxPerAddress,
    attempts: { perSecond: attemptRate, burst: attemptRate * 20 },
    bytes: { perSecond: addressRate, burst: Math.max(2 ** 20, addressRate / 4) },
  };
}
