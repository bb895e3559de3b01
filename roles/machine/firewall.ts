/**
 * nftables' tables of ours, each put in place and taken away as a whole. What is in them is their makers' business.
 */

import { openLibc } from "../../native/libc.ts";
import { Nft } from "../../native/nft.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Table } from "../../protocol/nftables/table.ts";

/** A client's kill switch: one to a network namespace, so that whoever finds it knows whose it is. */
export const LOCK_TABLE = "culvert_lock";

/**
 * The name of a table that belongs to an interface: names of tables allow fewer characters than those of interfaces. An
 * interface called `lock` must not take the kill switch's.
 */
export function firewallTableOf(interfaceName: string): string {
  const name = interfaceName.replace(/[^A-Za-z0-9_]/g, (character) => `x${character.charCodeAt(0).toString(16)}`);
  return `culvert_${name}${/^lock_*$/.test(name) ? "_" : ""}`;
}

/** In place of the table of that name, at once. Throws `no_nftables` in a kernel that has none. */
export function setFirewall(table: Table): void {
  using libc = openLibc();
  using nft = new Nft(libc);
  nft.replaceTable(table);
}

/** Harmless when there is none, also in a kernel that has no nftables at all. */
export function removeFirewall(table: string): void {
  using libc = openLibc();
  try {
    using nft = new Nft(libc);
    nft.deleteTable(table);
  } catch (error) {
    if (!hasNoNftables(error)) throw error;
  }
}

export function hasNoNftables(error: unknown): boolean {
  return error instanceof CulvertError && error.code === "no_nftables";
}
