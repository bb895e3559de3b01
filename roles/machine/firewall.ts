/**
 * nftables' tables of ours, each put in place and taken away as a whole. What is in them is their makers' business.
 */

import { openLibc } from "../../native/libc.ts";
import { Nft } from "../../native/nft.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Table } from "../../protocol/nftables/table.ts";

/** The name of a table that belongs to an interface: names of tables allow fewer characters than those of interfaces. */
export function firewallTableOf(interfaceName: string): string {
  return `culvert_${
    interfaceName.replace(/[^A-Za-z0-9_]/g, (character) => `x${character.charCodeAt(0).toString(16)}`)
  }`;
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
