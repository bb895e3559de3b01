/**
 * The exit's table in the machine's packet filter, for as long as there are packets to hold it against.
 *
 * Without it clients would reach what is closed, so it must not go before the device does:
 * - A device of our own ends with this process. So does its table, which belongs to the process: nobody else can take it
 *   away meanwhile, not even `nft flush ruleset`, which a restart of the system's firewall begins with.
 * - The kernel's device goes on when this process is killed, and so does its table. In turn others can flush it: it is
 *   looked for every two seconds, and put back.
 */

import { Errno, SysError } from "../../../native/errno.ts";
import type { Libc } from "../../../native/libc.ts";
import { type NamedSet, Nft } from "../../../native/nft.ts";
import type { Clock, Timer } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { formatIp, type IpAddress } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Table } from "../../../protocol/nftables/table.ts";

const LOOK_EVERY_MS = 2_000;
/** What kernels before Linux 5.12 say to a table that is to belong to a process. */
const NO_OWNERS: readonly number[] = [Errno.EINVAL, Errno.EOPNOTSUPP];

export interface PacketFilterOptions {
  readonly libc: Libc;
  /** Whether the device ends with this process. */
  readonly endsWithProcess: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** A change of a set of addresses. */
export interface AddressChange {
  readonly add: readonly IpAddress[];
  readonly remove: readonly IpAddress[];
}

export class PacketFilter implements Disposable {
  readonly #options: PacketFilterOptions;
  readonly #nft: Nft;
  #isOwned: boolean;
  /** As it is to be. */
  #table: Table | undefined;
  #timer: Timer | undefined;

  constructor(options: PacketFilterOptions) {
    this.#options = options;
    this.#nft = new Nft(options.libc);
    this.#isOwned = options.endsWithProcess;
  }

  /** Puts a table in the place of the present one, between two packets. Throws `no_nat` where the kernel lacks something. */
  set(table: Table): void {
    try {
      this.#put(table);
    } catch (error) {
      if (error instanceof CulvertError && error.code === "no_nftables") throw error;
      throw new CulvertError(
        "no_nat",
        "Cannot filter packets: the kernel must have nftables with NAT and connection tracking (nf_tables, nft_masq, " +
          `nft_ct, nft_limit, nft_connlimit, nft_reject): ${messageOf(error)}`,
        { cause: error },
      );
    }
    this.#table = table;
    if (!this.#isOwned) this.#timer ??= this.#lookLater();
  }

  changeSet(set: Pick<NamedSet, "name" | "key">, { add, remove }: AddressChange): void {
    const { name: table, sets = [] } = this.#table!;
    this.#nft.changeSet(table, set, { add, remove });
    const removed = new Set(remove.map(formatIp));
    this.#table = {
      ...this.#table!,
      sets: sets.map((one) => {
        if (one.name !== set.name || "value" in one) return one;
        const kept = (one.elements ?? []).filter((element) => !removed.has(formatIp(element as IpAddress)));
        return { ...one, elements: [...kept, ...add] };
      }),
    };
  }

  /** Lets go of the table; one that is not the process's own stays, for the journal. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#nft[Symbol.dispose]();
  }

  #put(table: Table): void {
    try {
      this.#nft.replaceTable({ ...table, isOwned: this.#isOwned });
    } catch (error) {
      if (!this.#isOwned || !(error instanceof SysError) || !NO_OWNERS.includes(error.errno)) throw error;
      this.#nft.replaceTable(table);
      this.#isOwned = false;
    }
  }

  #lookLater(): Timer {
    return this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#timer = this.#lookLater();
      this.#look(this.#table!);
    });
  }

  #look(table: Table): void {
    const { log } = this.#options;
    try {
      if (this.#nft.tables(table.name).some(({ name }) => name === table.name)) return;
      this.#put(table);
      log.error("The packet filter was taken away by somebody, and is back", { table: table.name });
    } catch (error) {
      log.error("The packet filter cannot be looked after", { table: table.name, error: messageOf(error) });
    }
  }
}
