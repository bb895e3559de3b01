/** What `culvert vtcp-server` is told: where it receives, by what packets, and where traffic leaves. */

import { z } from "zod";
import { hostName } from "../fields.ts";
import { portsField } from "../kcp/dump.ts";
import { wayOut } from "../way_out.ts";

export const serverConfig = z.object({
  ports: portsField().prefault("45000").describe("The port, or several in a row that clients hop over."),
  address: hostName("0.0.0.0").describe("The address of this machine that packets come to; :: is every one."),
  carrier: z.enum(["raw", "udp"]).default("raw")
    .describe("What packets look like: TCP of no connection (needs root), or UDP."),
  client: z.array(z.string().meta({ placeholder: "name=secret", secret: true })).default([])
    .describe("A client beside those that were invited."),
  interface: z.string().min(1).optional().describe("raw: the interface that packets come by.")
    .meta({ placeholder: "name", defaultText: "every one" }),
  manageFirewall: z.boolean().default(true)
    .describe("raw: set the rules that keep the kernel from resetting what it does not know."),
  ...wayOut,
  maxClients: z.number().int().min(1).max(60_000).default(4096).describe("Clients at once."),
});

export type ServerSettings = z.output<typeof serverConfig>;
