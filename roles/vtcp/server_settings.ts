/** What `culvert vtcp-server` is told: where it receives, by what packets, and where traffic leaves. */

import { z } from "zod";
import { hostName, secret } from "../fields.ts";
import { portsField } from "../kcp/dump.ts";
import { wayOut } from "../way_out.ts";

export const serverConfig = z.object({
  ports: portsField().prefault("4001").describe("The port, or several in a row that clients hop over."),
  address: hostName("0.0.0.0").describe("The address of this machine that packets come to; :: is every one."),
  carrier: z.enum(["raw", "udp"]).default("raw")
    .describe("What packets look like: TCP of no connection (needs root), or UDP."),
  dialect: z.enum(["culvert", "gfk-py", "gfk-go"]).default("culvert").describe("Whose clients are served."),
  client: z.array(z.string().meta({ placeholder: "name=secret", secret: true })).default([])
    .describe("culvert: a client beside those that were invited."),
  key: secret().optional().describe("gfk-py, gfk-go: the secret. Best given as CULVERT_KEY."),
  settings: z.string().default("").describe("gfk-go: more of its settings, as in carrier=kcp&mtu=1400.")
    .meta({ placeholder: "a=b&c=d" }),
  backend: hostName("127.0.0.1").describe("What backend.invalid means, and what clients of gfk reach by a port alone."),
  backendPorts: z.array(z.number().int().min(1).max(65_535)).default([])
    .describe("The ports of the backend that clients may reach.").meta({ defaultText: "every one" }),
  allowHosts: z.boolean().default(false).describe("gfk-go: clients may name hosts, not only ports of the backend."),
  interface: z.string().min(1).optional().describe("raw: the interface that packets come by.")
    .meta({ placeholder: "name", defaultText: "every one" }),
  manageFirewall: z.boolean().default(true)
    .describe("raw: set the rules that keep the kernel from resetting what it does not know."),
  ...wayOut,
  maxClients: z.number().int().min(1).max(60_000).default(4096).describe("Clients at once."),
});

export type ServerSettings = z.output<typeof serverConfig>;
