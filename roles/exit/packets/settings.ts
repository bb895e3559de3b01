/**
 * The settings of an exit that carries packets.
 */

import { z } from "zod";
import { endpointSchema } from "../../../protocol/fields.ts";
import { type Cidr, type IpAddress, parseCidr, parseIp } from "../../../protocol/ip.ts";
import { isLinkName } from "../../../protocol/rtnetlink/link.ts";
import { BACKENDS } from "../../machine/devices.ts";

const NETWORK4 = "a network such as 10.201.0.0/16, from /8 to /29";
const NETWORK6 = "auto, none, or a network such as fd00:1::/64, from /32 to /120";

/** Text that a function reads; what it does not know is told as the rule. */
function read<T>(parse: (text: string) => T | undefined, { rule, placeholder }: { rule: string; placeholder: string }) {
  return z.string().meta({ placeholder }).transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", message: rule, input: text });
    return z.NEVER;
  });
}

function network(text: string, bytes: 4 | 16): Cidr | undefined {
  const parsed = text.includes("/") ? parseCidr(text) : undefined;
  const [min, max] = bytes === 4 ? [8, 29] : [32, 120];
  return parsed?.address.length === bytes && parsed.bits >= min && parsed.bits <= max ? parsed : undefined;
}

function network6(text: string): Cidr | "auto" | "none" | undefined {
  return text === "auto" || text === "none" ? text : network(text, 16);
}

const pool = read((text) => network(text, 4), { rule: NETWORK4, placeholder: "cidr" });
const pool6 = read<Cidr | "auto" | "none">(network6, { rule: NETWORK6, placeholder: "cidr" });
const nameServer = read<IpAddress>(parseIp, { rule: "an IP address", placeholder: "ip" });

export const packetFlags = {
  tun: z.boolean().default(false).describe("Carry packets as well as streams, by WireGuard. Needs root."),
  backend: z.enum(BACKENDS).default("auto")
    .describe("What carries the packets; auto takes the kernel when it can.").meta({ placeholder: "backend" }),
  interface: z.string().refine(isLinkName, { error: "1 to 15 plain letters" }).default("cvexit0")
    .describe("What the interface of packets is called.").meta({ placeholder: "name" }),
  pool: pool.prefault("10.201.0.0/16").describe("Addresses for clients in the tunnel; the first is the exit's own."),
  pool6: pool6.prefault("auto").describe("The same for IPv6; auto is fdc7:1be5:c001::/64 where there is IPv6."),
  wireguardPort: z.number().int().min(0).max(65_535).default(0)
    .describe("The UDP port of WireGuard; 0 for any.").meta({ placeholder: "port" }),
  endpoint: endpointSchema.optional()
    .describe("Where anybody reaches that port, if they do, so that clients need no relay.")
    .meta({ placeholder: "host:port" }),
  clientRate: z.number().min(0.1).max(1_000_000).optional()
    .describe("What each client may send, and receive, as packets, in Mbit/s.").meta({ placeholder: "mbps" }),
  nameServer: z.array(nameServer).max(3).default([])
    .describe("Whom to ask when clients look names up; those of the machine unless given."),
};

export type PacketFlags = z.output<z.ZodObject<typeof packetFlags>>;
