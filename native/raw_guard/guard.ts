/**
 * Keeps the kernel's TCP away from ports on which we send and receive packets ourselves.
 *
 *   await using guard = guardPorts({ libc, ports: [45000], side: "server", clock, log });
 *
 * To the kernel such packets belong to no connection, so it would answer each with a reset, which ends the flow at the far
 * end or at any firewall between. And whoever tracks connections would call them invalid. So, for these ports and, on a
 * client, this peer alone:
 *
 *   in    dropped before the kernel looks at them. AF_PACKET sockets have seen them by then
 *   out   resets are dropped, and nothing is tracked
 *
 * The ports are reserved first (`port_reservation.ts`), which fails where somebody else has them. The rules are a table of
 * nftables that the kernel takes away with this process, however it ends. Where the kernel has no nf_tables they are rules of
 * iptables and ip6tables, which the next guard on this machine takes away should this process be killed. Rules that
 * somebody else flushes are put back. Needs CAP_NET_ADMIN.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { type IpAddress, parseIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Libc } from "../libc.ts";
import { guardByIptables } from "./iptables_guard.ts";
import { guardByNft } from "./nft_guard.ts";
import { reservePorts } from "./port_reservation.ts";
import { ephemeralPorts, riskOf } from "./port_risks.ts";
import type { GuardedPorts, PortRules } from "./rules.ts";

export type GuardWay = "nft" | "iptables";

export interface GuardOptions {
  readonly libc: Libc;
  /** Local TCP ports. One that is 0 stands for one that the kernel has free. */
  readonly ports: readonly number[];
  readonly side: "client" | "server";
  /** The one address that packets are exchanged with; any if not given. */
  readonly peer?: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Only this one; nftables, or iptables where there are none, if not given. */
  readonly way?: GuardWay;
}

export interface PortGuard extends AsyncDisposable {
  /** As asked for, with what the kernel chose. */
  readonly ports: readonly number[];
  readonly way: GuardWay;
  /** How many packets have come to the ports; undefined where it cannot be told. */
  heardPackets(): number | undefined;
}

/** Throws `port_in_use`, `denied` or a SysError, and has changed nothing then. `libc` must outlive it. */
export function guardPorts(options: GuardOptions): PortGuard {
  const { libc, side, clock, log } = options;
  using stack = new DisposableStack();
  const reserved = stack.use(reservePorts(libc, options.ports));
  const guarded: GuardedPorts = {
    ports: reserved.ports,
    ...options.peer !== undefined && { peer: peerOf(options.peer) },
  };
  const ephemeral = ephemeralPorts();
  for (const port of options.ports) {
    const risk = riskOf(port, { side, ephemeral });
    if (risk !== undefined) log.warn(risk, { port });
  }
  const { rules, way } = install(guarded, { libc, clock, log, ...options.way && { way: options.way } });
  const reservation = stack.move();
  return {
    ports: guarded.ports,
    way,
    heardPackets: () => rules.heardPackets(),
    async [Symbol.asyncDispose]() {
      using _reservation = reservation;
      await rules[Symbol.asyncDispose]();
    },
  };
}

function install(
  guarded: GuardedPorts,
  { way, ...host }: Pick<GuardOptions, "libc" | "clock" | "log" | "way">,
): { readonly rules: PortRules; readonly way: GuardWay } {
  if (way === "iptables") return { rules: guardByIptables(guarded, host), way };
  try {
    return { rules: guardByNft(guarded, host), way: "nft" };
  } catch (error) {
    const hasNone = error instanceof CulvertError && error.code === "no_nftables";
    if (!hasNone || way === "nft") throw error;
    return { rules: guardByIptables(guarded, host), way: "iptables" };
  }
}

function peerOf(text: string): IpAddress {
  const peer = parseIp(text);
  if (peer) return peer;
  throw new CulvertError("bad_address", `Cannot guard a port: the peer must be an IP address, got ${text}`);
}
