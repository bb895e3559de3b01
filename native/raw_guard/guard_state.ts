/**
 * Whether a port of this machine is guarded now, by whichever process, and what the guard has counted: for `doctor`.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Libc } from "../libc.ts";
import { Nft } from "../nft.ts";
import type { GuardWay } from "./guard.ts";
import { Iptables } from "./iptables.ts";
import { isGuardedBy, ourRules, SUPPORTS } from "./iptables_rules.ts";
import { isGuardOf, NFT_PREFIX, RESETS } from "./nft_guard.ts";

export interface GuardState {
  readonly way: GuardWay;
  /** The first port of the guard, which may be one of several. */
  readonly firstPort: number;
  /** Resets of the kernel that were kept back; only nftables tells. */
  readonly resets?: number;
}

/** Undefined when nobody guards it. Needs CAP_NET_ADMIN. */
export function guardState(libc: Libc, port: number): GuardState | undefined {
  return byNft(libc, port) ?? byIptables(port);
}

function byNft(libc: Libc, port: number): GuardState | undefined {
  try {
    using nft = new Nft(libc);
    const table = nft.tables(NFT_PREFIX).find((table) => isGuardOf(port, table));
    if (!table) return undefined;
    const firstPort = Number(table.name.slice(NFT_PREFIX.length));
    const resets = nft.rules(table.name).find(({ comment }) => comment === RESETS)?.counter?.packets;
    return { way: "nft", firstPort, ...resets !== undefined && { resets } };
  } catch (error) {
    if (error instanceof CulvertError && error.code === "no_nftables") return undefined;
    throw error;
  }
}

function byIptables(port: number): GuardState | undefined {
  const iptables = Iptables.find(4);
  const tables = new Set(SUPPORTS.map(({ table }) => table));
  const rules = iptables ? [...tables].flatMap((table) => ourRules(iptables.list(table))) : [];
  const found = rules.find((rule) => isGuardedBy(rule, port));
  return found && { way: "iptables", firstPort: found.guard };
}
