/**
 * What `doctor` makes of what it has seen: each check as a verdict, a sentence, and what to do about it.
 */

import type { GuardState } from "../../native/raw_guard/guard_state.ts";
import { formatIp } from "../../protocol/ip.ts";
import type { RouteTo } from "../../native/route_to.ts";
import { USUAL_PATH_BYTES } from "./far_end.ts";

export type Verdict = "ok" | "warning" | "problem" | "skipped";

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  readonly says: string;
  readonly advice?: string;
}

function finding(check: string, verdict: Verdict, says: string, advice?: string): Finding {
  return { check, verdict, says, ...advice !== undefined && { advice } };
}

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

/** `capabilities`: the effective ones, as /proc/self/status has them. */
export function rightsFinding(capabilities: string | undefined): Finding {
  const held = BigInt(`0x${capabilities ?? "0"}`);
  const has = (capability: bigint) => (held >> capability & 1n) === 1n;
  const missing = [
    ...has(CAP_NET_RAW) ? [] : ["CAP_NET_RAW, to send and receive raw packets"],
    ...has(CAP_NET_ADMIN) ? [] : ["CAP_NET_ADMIN, to keep the kernel from answering them"],
  ];
  if (missing.length === 0) return finding("rights", "ok", "This process may send raw packets and set rules");
  return finding(
    "rights",
    "problem",
    `This process lacks ${missing.join(" and ")}`,
    "Run it as root, or as a service with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN",
  );
}

export function wayFinding(
  address: string,
  { interfaceName, source, gateway, mac, hardware, mtuBytes }: RouteTo,
): Finding {
  const by = gateway ? ` by the gateway ${formatIp(gateway)}` : "";
  const at = mac && hardware === "ethernet" ? ` at ${macText(mac)}` : "";
  return finding(
    "way",
    "ok",
    `Packets to ${address} leave by ${interfaceName} from ${formatIp(source)}${by}${at}; the MTU is ${mtuBytes}`,
  );
}

function macText(mac: Uint8Array): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export function noWayFinding(error: unknown): Finding {
  const { code, message } = error as { code?: string; message: string };
  const advice: Readonly<Record<string, string>> = {
    no_such_host: "Check the name, or give the server's address",
    no_neighbour: "Check the cable or the wireless network and the default gateway (`ip route`)",
    no_route: "Bring the network up; `ip route` shows which ways there are",
  };
  return finding("way", "problem", message, advice[code ?? ""] ?? "Check the network");
}

export interface AnswerFacts {
  readonly where: string;
  readonly carrier: "udp" | "raw";
  readonly asked: number;
  readonly roundTripsMs: readonly number[];
  /** What the far end or our machine said instead. */
  readonly error?: { readonly code?: string; readonly message: string };
  /** Packets from there that our key does not open. */
  readonly strangePackets: number;
  /** Resets that came from the far end's port; undefined where nobody could look. */
  readonly resets?: number;
  /** Packets of any kind that came from there. */
  readonly packets?: number;
  /** The host says that nobody receives UDP on that port. */
  readonly isRefused?: boolean;
}

export function answerFinding(facts: AnswerFacts): Finding {
  const { where, asked, roundTripsMs } = facts;
  if (roundTripsMs.length === 0) return silenceFinding(facts);
  const fastest = `in ${Math.round(Math.min(...roundTripsMs) * 10) / 10} ms at best`;
  if (roundTripsMs.length === asked) return finding("answer", "ok", `${where} answers with this key, ${fastest}`);
  return finding(
    "answer",
    "warning",
    `${where} answered ${roundTripsMs.length} of ${asked} times, ${fastest}`,
    "The path loses packets, or somebody thins them out: try the other carrier, or another port",
  );
}

function silenceFinding(
  { where, carrier, error, strangePackets, resets = 0, packets, isRefused }: AnswerFacts,
): Finding {
  const problem = (says: string, advice: string) => finding("answer", "problem", says, advice);
  if (error?.code === "unauthorized") {
    return problem(error.message, "Have the server's operator invite this client: `culvert kcp invite NAME`");
  }
  if (error) return problem(error.message, "See what it says; the other checks may tell more");
  if (strangePackets > 0) {
    return problem(
      `${where} sends packets that this key does not open: the keys differ, or the crypts`,
      "Give both ends the same --key and --crypt; mind spaces and line ends where it was copied",
    );
  }
  if (resets > 0) {
    return problem(
      `The kernel of ${where} answers with resets, so no server receives there or its rules are missing`,
      "Start the server; on its machine `culvert kcp doctor --listen` says whether its port is guarded",
    );
  }
  if (carrier === "udp" && isRefused) {
    return problem(`${where} is there, and nobody receives UDP on that port`, "Start the server, or check the port");
  }
  const how = packets !== undefined && packets > 0
    ? "Packets come back, but none that is an answer"
    : "Nothing comes back";
  return problem(
    `${how} from ${where}: the keys differ, the port is blocked on the way, or no server runs there`,
    "On the server, `culvert kcp doctor --listen` with the same key says whether packets arrive and whether the key " +
      "opens them. If none arrives, open the port at the provider, or try another port or carrier",
  );
}

/** Less is no harm to anything. */
const CLOCK_SLACK_MS = 5000;
/** When this was written. */
const LEAST_WALL_MS = Date.UTC(2026, 0, 1);

/** `behindMs`: what the server's clock is ahead of ours, where it was told. */
export function clockFinding(wallMs: number, behindMs?: number): Finding {
  const date = new Date(wallMs).toISOString().slice(0, 16).replace("T", " ");
  const advice = "Set it, and keep it right by NTP: `timedatectl set-ntp true`";
  if (wallMs < LEAST_WALL_MS) return finding("clock", "problem", `This machine believes it is ${date} UTC`, advice);
  if (behindMs === undefined) {
    return finding(
      "clock",
      "skipped",
      `This machine believes it is ${date} UTC; only our own dialect's server tells its time`,
    );
  }
  if (Math.abs(behindMs) <= CLOCK_SLACK_MS) return finding("clock", "ok", "The server's clock and this one agree");
  const seconds = Math.round(Math.abs(behindMs) / 1000);
  return finding(
    "clock",
    "warning",
    `This clock is ${seconds} s ${behindMs > 0 ? "behind" : "ahead of"} the server's; one of them is wrong`,
    advice,
  );
}

export interface MtuFacts {
  /** The longest payload that got there; undefined where it was not tried. */
  readonly payloadBytes?: number;
  readonly overheadBytes: number;
  /** What no router has refused. */
  readonly routersBytes?: number;
  readonly linkBytes?: number;
}

/** Below it, even IPv6 cannot be. */
const LEAST_MTU_BYTES = 1280;

export function mtuFinding({ payloadBytes, overheadBytes, routersBytes, linkBytes }: MtuFacts): Finding {
  const proven = payloadBytes === undefined ? undefined : payloadBytes + overheadBytes;
  const known = proven ?? routersBytes ?? linkBytes;
  if (known === undefined) return finding("mtu", "skipped", "Nothing tells how long packets may be");
  const advice = (bytes: number) =>
    `Let KCP have an MTU of at most ${bytes - overheadBytes} bytes; if a tunnel or PPPoE is on the way, that is why`;
  if (proven !== undefined) {
    const says = `Packets of up to ${proven} bytes get there`;
    if (proven >= USUAL_PATH_BYTES) return finding("mtu", "ok", says);
    return finding("mtu", proven < LEAST_MTU_BYTES ? "problem" : "warning", says, advice(proven));
  }
  if (known >= USUAL_PATH_BYTES) return finding("mtu", "ok", `No router refuses packets of ${known} bytes`);
  return finding(
    "mtu",
    "warning",
    `A router or the interface takes packets of up to ${known} bytes only`,
    advice(known),
  );
}

/** Of a client's trial, or of a server's port. */
export function guardFinding(state: GuardState | undefined, port: number): Finding {
  if (!state) {
    return finding(
      "rules",
      "problem",
      `Nobody guards port ${port}: the kernel answers packets to it with resets`,
      "Start the server with rules of its own (that is the default), or have port " +
        `${port} dropped on the way in and resets from it on the way out`,
    );
  }
  const resets = state.resets === undefined || state.resets === 0 ? "" : `; ${state.resets} resets were kept back`;
  const by = state.way === "nft" ? "nftables" : "iptables";
  return finding("rules", "ok", `Port ${port} is guarded by ${by}${resets}`);
}

export function canGuardFinding(way: "nft" | "iptables"): Finding {
  return finding("rules", "ok", `The kernel can be kept from answering, by ${way === "nft" ? "nftables" : "iptables"}`);
}

export function faultFinding(check: string, error: unknown, advice: string): Finding {
  return finding(check, "problem", (error as Error).message, advice);
}

/** What came to a server's ports while it was looked at. */
export interface Arrivals {
  readonly seconds: number;
  readonly packets: number;
  /** Undefined without a key. */
  readonly opened?: number;
  /** Where most of them came from. */
  readonly from?: string;
  /** Resets that left this machine from those ports. */
  readonly resetsSent: number;
}

export function arrivalsFinding({ seconds, packets, opened, from, resetsSent }: Arrivals): Finding {
  if (resetsSent > 0) {
    return finding(
      "arrivals",
      "problem",
      `This machine's kernel answers with resets (${resetsSent} in ${seconds} s)`,
      "Start the server with rules of its own, which keep them back",
    );
  }
  if (packets === 0) {
    return finding(
      "arrivals",
      "warning",
      `No packet came in ${seconds} s`,
      "Let a client try meanwhile. If still none comes, the port is blocked on the way: open it at the provider, as TCP " +
        "for raw packets",
    );
  }
  const came = `${packets} packets came in ${seconds} s, most from ${from}`;
  if (opened === undefined) return finding("arrivals", "ok", `${came}; with --key it is told whether they are genuine`);
  if (opened === packets) return finding("arrivals", "ok", `${came}, all sealed with this key`);
  if (opened > 0) return finding("arrivals", "ok", `${came}, ${opened} of them sealed with this key`);
  return finding(
    "arrivals",
    "problem",
    `${came}, none sealed with this key: the keys differ, or the crypts`,
    "Give both ends the same --key and --crypt; mind spaces and line ends where it was copied",
  );
}
