/**
 * What `culvert kcp-server` is told: where it receives, by what packets, in whose dialect, and where traffic leaves.
 */

import { z } from "zod";
import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import { hostName, secret, targetAddress } from "../fields.ts";
import { wayOut } from "../way_out.ts";
import { portsField } from "./dump.ts";

export const SERVER_DIALECTS = ["culvert", "kcptun", "paqet"] as const;

export const serverConfig = z.object({
  ports: portsField().prefault("4000").describe("The port, or several in a row that clients hop over."),
  address: hostName("0.0.0.0").describe("The address of this machine that packets come to; :: is every one."),
  carrier: z.enum(["udp", "raw", "both"]).default("udp")
    .describe("What packets look like: UDP, TCP of no connection (needs root), or both on the same ports."),
  dialect: z.enum(SERVER_DIALECTS).default("culvert").describe("Whose KCP it is."),
  client: z.array(z.string().meta({ placeholder: "name=secret", secret: true })).default([])
    .describe("culvert: a client beside those that were invited."),
  relayedPort: z.number().int().min(1).max(65_535).optional()
    .describe("culvert: a UDP port for clients that come by packet relays.").meta({ placeholder: "port" }),
  key: secret().optional().describe("kcptun, paqet: the passphrase. Best given as CULVERT_KEY."),
  crypt: z.enum(cryptNames).default("aes").describe("kcptun, paqet: how packets are hidden."),
  settings: z.string().default("").describe("kcptun, paqet: more of its settings, as in mode=fast3&nocomp=1.")
    .meta({ placeholder: "a=b&c=d" }),
  target: targetAddress().optional().describe("kcptun: where every stream leads. Without it each asks, by SOCKS5."),
  interface: z.string().min(1).optional().describe("raw: the interface that packets come by.")
    .meta({ placeholder: "name", defaultText: "every one" }),
  manageFirewall: z.boolean().default(true)
    .describe("raw: set the rules that keep the kernel from resetting what it does not know."),
  ...wayOut,
  maxSessions: z.number().int().min(1).max(1_000_000).default(4096).describe("Sessions of clients at once."),
});

export type ServerSettings = z.output<typeof serverConfig>;
