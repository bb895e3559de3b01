/**
 * How a client is, as it tells `culvert client status`: for programs as this object, for people as lines.
 */

import { z } from "zod";
import type { ControlStream } from "../../net/control.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import { escapeText } from "../escape.ts";
import { bytesText } from "../table.ts";

const countSchema = z.number().min(0);

export const clientStatusSchema = z.object({
  mode: z.enum(["tun", "proxy"]),
  /** There is a session with an exit, and its last probe came back. */
  connected: z.boolean(),
  pid: z.int(),
  /** The supernode that it is connected to or tries. */
  supernode: z.string(),
  control: z.boolean(),
  session: z.string().optional(),
  exit: z.string().optional(),
  region: z.string().optional(),
  expiresAtMs: z.number().optional(),
  /** Of probes through the exit, smoothed. */
  latencyMs: z.number().optional(),
  /** Where the proxy listens. */
  listen: z.string().optional(),
  /** Of a tunnel. */
  tunnel: z.object({
    interface: z.string(),
    addresses: z.array(z.string()),
    dns: z.array(z.string()),
    mtu: z.number(),
    way: z.enum(["relay", "direct"]).optional(),
    endpoint: z.string().optional(),
    /** A supernode that terminates the tunnel and can read what is in it. */
    terminatedBy: z.string().optional(),
    handshakeAgeMs: countSchema.optional(),
    rxBytes: countSchema,
    txBytes: countSchema,
  }).optional(),
  /** The kill switch; left out by a proxy. */
  locked: z.boolean().optional(),
});

export type ClientStatus = z.infer<typeof clientStatusSchema>;

/** What either kind of client says of its session. */
export function sessionStatus(
  exits: Pick<SessionSwitch, "present" | "dataPath">,
  control: Pick<ControlStream, "supernode" | "isOpen">,
): Omit<ClientStatus, "mode"> {
  const { present, dataPath } = exits;
  return {
    connected: present !== undefined && dataPath?.ok !== false,
    pid: Deno.pid,
    supernode: control.supernode.supernodeId,
    control: control.isOpen,
    ...present && { session: present.sessionId, exit: present.exitPeerId, expiresAtMs: present.expiresAtMs },
    ...present?.region !== undefined && { region: present.region },
    ...dataPath?.latencyMs !== undefined && { latencyMs: dataPath.latencyMs },
  };
}

/** For people. */
export function statusLines(status: ClientStatus): string[] {
  const { tunnel } = status;
  const rows: (readonly [string, string | undefined])[] = [
    ["state", status.connected ? "connected" : status.exit === undefined ? "no exit" : "the exit does not answer"],
    ["supernode", `${status.supernode}${status.control ? "" : " (not connected)"}`],
    ["exit", status.exit],
    ["region", status.region],
    ["session", status.session],
    ["latency", status.latencyMs === undefined ? undefined : `${status.latencyMs.toFixed(1)} ms`],
    ["listen", status.listen],
    ["interface", tunnel?.interface],
    ["addresses", tunnel?.addresses.join(", ")],
    ["name servers", tunnel?.dns.join(", ")],
    ["way", wayText(tunnel)],
    [
      "handshake",
      tunnel?.handshakeAgeMs === undefined ? undefined : `${Math.round(tunnel.handshakeAgeMs / 1000)} s ago`,
    ],
    ["received", tunnel && bytesText(tunnel.rxBytes)],
    ["sent", tunnel && bytesText(tunnel.txBytes)],
    ["kill switch", status.locked === undefined ? undefined : status.locked ? "on" : "off"],
  ];
  const shown = rows.filter((row): row is [string, string] => row[1] !== undefined && row[1] !== "");
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, text]) => `${name.padEnd(width)}  ${escapeText(text)}`);
}

function wayText(tunnel: ClientStatus["tunnel"]): string | undefined {
  if (tunnel?.way === undefined) return undefined;
  const by = tunnel.terminatedBy === undefined ? "" : `, terminated by ${tunnel.terminatedBy}`;
  return `${tunnel.way}${tunnel.endpoint === undefined ? "" : ` by ${tunnel.endpoint}`}${by}`;
}
