/**
 * Our tables in the kernel's packet filter (nf_tables), in the network namespace of this process, without `nft`.
 *
 *   using libc = openLibc(); using nft = new Nft(libc);
 *   nft.replaceTable({ name: "culvert_exit", chains: [ … ] });      what it is made of: protocol/nftables/table.ts
 *   nft.deleteTable("culvert_exit");
 *
 * Each change is one transaction: it happens between two packets, or not at all. Tables outlive this process unless
 * they are owned. Only tables whose names begin with `culvert` can be changed. Everything needs CAP_NET_ADMIN in the
 * namespace, reading too. Errors: `no_nftables` where the kernel has none; SysError otherwise, which names the rule or
 * set that was refused: EPERM without the right or where another process owns the table, EBUSY where something else
 * still uses what is to go, EOPNOTSUPP and ENOENT where the kernel lacks an expression.
 */

import { CulvertError } from "../protocol/errors.ts";
import type { NetlinkMessage } from "../protocol/netlink.ts";
import type { Bytes } from "../protocol/primitives.ts";
import * as batch from "../protocol/nftables/batch.ts";
import type { SetChange, Step } from "../protocol/nftables/batch.ts";
import { Command, encodeDump } from "../protocol/nftables/message.ts";
import { type ElementInfo, encodeListElements, type NamedSet, readElements } from "../protocol/nftables/sets.ts";
import {
  type ChainInfo,
  onlyOfTable,
  readChain,
  readRule,
  readTable,
  type RuleInfo,
  type Table,
  type TableInfo,
} from "../protocol/nftables/table.ts";
import { Errno, SysError } from "./errno.ts";
import type { Libc } from "./libc.ts";
import { NETLINK_NETFILTER, type NetlinkRefusal, NetlinkSocket } from "./netlink.ts";

export type { ChainInfo, ElementInfo, NamedSet, RuleInfo, SetChange, Table, TableInfo };

/** What a kernel says that has no netfilter to speak to, or one without nf_tables. */
const NO_NFTABLES: readonly number[] = [Errno.EPROTONOSUPPORT, Errno.EOPNOTSUPP, Errno.EINVAL];

export class Nft implements Disposable {
  readonly #socket: NetlinkSocket;

  /** `libc` stays the caller's and must outlive this. */
  constructor(libc: Libc) {
    this.#socket = open(libc);
  }

  /** Puts the table in the place of one with its name, if there is one. Its counters begin at 0. */
  replaceTable(table: Table): void {
    this.#change(`set the table ${table.name}`, batch.replaceTable(table));
  }

  /** With all that is in it; false when there is none. */
  deleteTable(name: string): boolean {
    return this.#change(`delete the table ${name}`, batch.deleteTable(name), { mayBeGone: true });
  }

  /** Adds values to a named set, and removes others, which must be in it just as they were added. */
  changeSet(table: string, set: Pick<NamedSet, "name" | "key" | "hasIntervals">, change: SetChange): void {
    this.#change(`change the set ${set.name} of ${table}`, batch.changeSet(table, set, change));
  }

  /** Those with names of ours, or only those that begin so. */
  tables(prefix: string = batch.TABLE_PREFIX): TableInfo[] {
    return this.#list("tables", encodeDump(Command.getTable), readTable).filter(({ name }) => name.startsWith(prefix));
  }

  chains(table: string): ChainInfo[] {
    return this.#list("chains", encodeDump(Command.getChain, onlyOfTable(table)), readChain)
      .filter((chain) => chain.table === table);
  }

  /** With what they have counted since the table was set. */
  rules(table: string): RuleInfo[] {
    return this.#list("rules", encodeDump(Command.getRule, onlyOfTable(table)), readRule)
      .filter((rule) => rule.table === table);
  }

  /** What is in a set without intervals, and what a meter has counted for each. */
  elements(table: string, set: string): ElementInfo[] {
    const message = encodeDump(Command.getElements, encodeListElements(table, set));
    return this.#list(`elements of ${set}`, message, readElements).flat();
  }

  #list<T>(what: string, message: Bytes, read: (message: NetlinkMessage) => T | undefined): T[] {
    const action = `list the ${what}`;
    try {
      return this.#socket.request(action, message).map(read).filter((value) => value !== undefined);
    } catch (error) {
      // A list is refused as a whole, before the kernel looks at what it is to be of.
      throw error instanceof SysError && NO_NFTABLES.includes(error.errno) ? noNftables(action, error) : error;
    }
  }

  #change(action: string, steps: readonly Step[], { mayBeGone = false } = {}): boolean {
    if (steps.length === 0) return true;
    const [refusal] = this.#socket.requestAll(action, batch.batchOf(steps));
    if (!refusal) return true;
    if (mayBeGone && refusal.errno === Errno.ENOENT) return false;
    // Refused as a whole: where there are no tables at all, listing them says so.
    if (refusal.index === 0 && NO_NFTABLES.includes(refusal.errno)) this.tables();
    throw errorOf(action, refusal, steps);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

function open(libc: Libc): NetlinkSocket {
  try {
    return new NetlinkSocket(libc, NETLINK_NETFILTER);
  } catch (error) {
    throw error instanceof SysError && NO_NFTABLES.includes(error.errno) ? noNftables("use nftables", error) : error;
  }
}

function noNftables(action: string, cause: SysError): CulvertError {
  return new CulvertError("no_nftables", `Cannot ${action}: the kernel must have nf_tables, and has none`, { cause });
}

/** What is against the batch as a whole is said of its beginning, which is no step. */
function errorOf(action: string, { index, errno, text }: NetlinkRefusal, steps: readonly Step[]): SysError {
  const step = steps[index - 1];
  if (!step) return new SysError(action, "netlink", errno, errno === Errno.EPERM ? "it takes CAP_NET_ADMIN" : text);
  const said = text === undefined ? "" : `: ${text}`;
  return new SysError(action, "netlink", errno, `for ${step.what}${hintOf(errno)}${said}`);
}

function hintOf(errno: number): string {
  if (errno === Errno.EPERM) return ", which another process owns";
  if (errno === Errno.EBUSY) return ", which something else still uses";
  return "";
}
