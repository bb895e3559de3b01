/**
 * The settings of `culvert client`.
 */

import { z } from "zod";
import { RELAY_MODES } from "../../protocol/control/packets.ts";
import { type Cidr, networkOf, parseCidr, parseIp } from "../../protocol/ip.ts";
import { durationMs, listenAddress } from "../fields.ts";
import { BACKENDS } from "../machine/devices.ts";
import { peerSettings, regionName } from "../peer/settings.ts";
import { isInterfaceName } from "../wireguard/conf_file.ts";
import { UNKNOWN_REGION } from "./sessions.ts";

export const ACTIONS = ["up", "status", "rotate", "down"] as const;

const CIDR_RULE = "an address or a network such as 192.0.2.0/24 or 2001:db8::/32";
const MAX_CIDRS = 256;

/** Also with bits beyond the network's, as people copy them from `ip address`. */
export function readCidr(text: string): Cidr | undefined {
  const exact = parseCidr(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`);
  if (exact) return exact;
  const [, host = "", bits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseIp(host);
  return address && networkOf(address, Number(bits));
}

const cidr = z.string().meta({ placeholder: "cidr", rule: CIDR_RULE }).transform((text, context): Cidr => {
  const found = readCidr(text);
  if (found) return found;
  context.issues.push({ code: "custom", message: CIDR_RULE, input: text });
  return z.NEVER;
});

/** The interfaces are called so, with a 0 or a 1 behind it. */
const interfacePrefix = z.string().refine(
  (text) => isInterfaceName(`${text}0`) && /^[a-z]/i.test(text),
  "at most 14 letters, digits and _=+.-, a letter first",
).default("culvert").meta({ placeholder: "name" });

const cidrs = () => z.array(cidr).max(MAX_CIDRS).default([]);

export const clientConfig = z.object({
  action: z.enum(ACTIONS).default("up").describe("What to do; to be a client, unless told otherwise.")
    .meta({ positional: true, placeholder: "action" }),
  listen: listenAddress("127.0.0.1:1080").describe("Where programs find the proxy."),
  ...peerSettings,
  supernode: peerSettings.supernode.optional(),
  home: regionName().default(UNKNOWN_REGION).describe("The region that this client is in."),
  region: regionName().optional().describe("The region that traffic should leave in; anywhere unless given."),
  minBandwidth: z.number().positive().max(1_000_000).optional()
    .describe("What the exit must still be able to carry, in Mbit/s.").meta({ placeholder: "mbps" }),
  maxLatency: durationMs(undefined, { minMs: 1, maxMs: 86_400_000 }).optional()
    .describe("How far away the exit may be."),
  probeEvery: durationMs(undefined, { minMs: 100 }).optional().describe("How often the way through the exit is tried.")
    .meta({ defaultText: "5s, with --tun 500ms" }),
  probeTimeout: durationMs(undefined, { minMs: 50 }).optional().describe("How long such a try may take.")
    .meta({ defaultText: "3s, with --tun 1200ms" }),
  open: z.boolean().default(false).describe("Allow a port that others can reach."),
  tun: z.boolean().default(false).describe("Route this machine through the exit instead of being a proxy; needs root."),
  backend: z.enum(BACKENDS).default("auto")
    .describe("What carries the packets; auto takes the kernel when it can.").meta({ placeholder: "backend" }),
  interface: interfacePrefix.describe("What the two interfaces are called, before their number."),
  include: cidrs().describe("With --tun: route nothing but this."),
  exclude: cidrs().describe("With --tun: do not route this, nor keep it in."),
  killSwitch: z.boolean().default(true)
    .describe("With --tun: let nothing out but through the tunnel, whatever happens to it."),
  keepLock: z.boolean().default(false).describe("Leave the kill switch on when the client is stopped."),
  allow: cidrs().describe("What the kill switch lets out beside the tunnel."),
  allowLan: z.boolean().default(false).describe("Let the kill switch pass what goes to private networks."),
  dns: z.boolean().default(true).describe("With --tun: look names up at the exit, whatever /etc/resolv.conf says."),
  relay: z.enum(RELAY_MODES).default("blind")
    .describe("Whether supernodes only pass packets on, or terminate the tunnel and may read them.")
    .meta({ placeholder: "mode" }),
  direct: z.boolean().default(true).describe("With --tun: look for a way to the exit without a relay."),
  detach: z.boolean().default(false).describe("Return once it is up, and leave it to a process of its own."),
});

export type ClientConfig = z.output<typeof clientConfig>;

/** One that is to be a client. */
export type UpConfig = ClientConfig & { readonly supernode: NonNullable<ClientConfig["supernode"]> };
