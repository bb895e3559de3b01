/**
 * The guard's rules as a table of nftables, owned by this process: the kernel takes it away when its socket closes, and
 * nobody else can change it. Kernels before 5.12 know no owners; there it is taken away when the guard ends, and should we be
 * killed by the next guard that finds the port unused.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import { fib, ipOf, tcp } from "../../protocol/nftables/fields.ts";
import { type Clause, comment, type Rule, rule } from "../../protocol/nftables/rule.ts";
import { counter, drop, notrack } from "../../protocol/nftables/statements.ts";
import type { NumberRange } from "../../protocol/nftables/values.ts";
import { type BaseChain, Priority, type Table } from "../../protocol/nftables/table.ts";
import { Errno, SysError } from "../errno.ts";
import type { Libc } from "../libc.ts";
import { Nft, type TableInfo } from "../nft.ts";
import { isPortFree } from "./port_reservation.ts";
import { Recheck } from "./recheck.ts";
import { type GuardedPorts, type PortRules, type RuleHost, runsOf } from "./rules.ts";

/** A table is named after the first port of its guard. */
export const NFT_PREFIX = "culvert_raw_";
/** What the rule is called that keeps the kernel from answering. */
export const RESETS = "resets of the kernel";
const OURS = "ours to read";

/** What this kernel's nf_tables may lack. */
export interface TableOptions {
  readonly isOwned: boolean;
  /** Only packets to addresses of this machine, so that nothing forwarded is touched. */
  readonly knowsLocal: boolean;
}

const KERNELS: readonly TableOptions[] = [
  { isOwned: true, knowsLocal: true },
  { isOwned: false, knowsLocal: true },
  { isOwned: true, knowsLocal: false },
  { isOwned: false, knowsLocal: false },
];
/** A look at our own rules takes some 50 µs. */
const LOOK_MS = 1000;
const LACKING: readonly number[] = [Errno.EOPNOTSUPP, Errno.EINVAL, Errno.ENOENT];

export function guardByNft(guarded: GuardedPorts, host: RuleHost, kernels = KERNELS): PortRules {
  const { libc, clock, log } = host;
  using stack = new DisposableStack();
  const nft = stack.use(new Nft(libc));
  removeStale(nft, libc);
  const table = setFirstPossible(nft, guarded, kernels);
  stack.defer(() => nft.deleteTable(table.name));
  const ruleCount = table.chains.reduce((count, { rules }) => count + rules.length, 0);
  // Nobody but us can change what we own.
  const recheck = table.isOwned ? undefined : new Recheck(clock, LOOK_MS, () => {
    try {
      if (nft.rules(table.name).length === ruleCount) return;
      log.warn("Somebody has taken away the rules that guard a port; they are put back", { table: table.name });
      nft.replaceTable(table);
    } catch (error) {
      log.error("The rules that guard a port cannot be put back", { table: table.name, error: messageOf(error) });
    }
  });
  const held = stack.move();
  return {
    heardPackets() {
      try {
        return nft.rules(table.name).find(({ comment }) => comment === OURS)?.counter?.packets;
      } catch {
        return undefined;
      }
    },
    async [Symbol.asyncDispose]() {
      using _held = held;
      await recheck?.[Symbol.asyncDispose]();
    },
  };
}

/** Tables that nobody owns, of guards that were killed: the ports that they are named after are free. */
function removeStale(nft: Nft, libc: Libc): void {
  for (const { name, isOwned } of nft.tables(NFT_PREFIX)) {
    const port = Number(name.slice(NFT_PREFIX.length));
    if (!isOwned && Number.isInteger(port) && isPortFree(libc, port)) nft.deleteTable(name);
  }
}

function setFirstPossible(nft: Nft, guarded: GuardedPorts, kernels: readonly TableOptions[]): Table {
  let refusal: unknown;
  for (const options of kernels) {
    const table = guardTable(guarded, options);
    try {
      nft.replaceTable(table);
      return table;
    } catch (error) {
      if (!(error instanceof SysError && LACKING.includes(error.errno))) throw error;
      refusal ??= error;
    }
  }
  throw new CulvertError(
    "no_nftables",
    "Cannot guard a port by nftables: the kernel lacks what the rules are made of",
    {
      cause: refusal,
    },
  );
}

/** One to a guard: no two have a port in common. */
export function guardTable({ ports, peer }: GuardedPorts, { isOwned, knowsLocal }: TableOptions): Table {
  const runs = runsOf(ports);
  const at = (hook: BaseChain["hook"]): BaseChain => ({ type: "filter", hook, priority: Priority.raw });
  const from = (address?: IpAddress): Clause[] => address ? [ipOf(address).saddr(address)] : [];
  const to = (address?: IpAddress): Clause[] => address ? [ipOf(address).daddr(address)] : [];
  const local = knowsLocal ? [fib.daddr("local")] : [];
  const sport = tcp.sport(runs.length === 1 ? runs[0]! : runs);
  const dport = tcp.dport(runs.length === 1 ? runs[0]! : runs);
  const incoming: Rule[] = [rule(...from(peer), dport, ...local, counter(), comment(OURS), drop())];
  const outgoing: Rule[] = [
    rule(...to(peer), sport, tcp.flags({ set: ["rst"] }), counter(), comment(RESETS), drop()),
    rule(...to(peer), sport, notrack()),
  ];
  return {
    name: `${NFT_PREFIX}${runs[0]!.from}`,
    comment: commentOf(runs),
    isOwned,
    chains: [
      { name: "incoming", base: at("prerouting"), rules: incoming },
      { name: "outgoing", base: at("output"), rules: outgoing },
    ],
  };
}

const COMMENT = "culvert reads and sends itself: ";
const MAX_RUNS = 7;

/** So that whoever looks finds the ports; of many runs the first. */
function commentOf(runs: readonly NumberRange[]): string {
  return COMMENT + runs.slice(0, MAX_RUNS).map(({ from, to }) => `${from}-${to}`).join(" ");
}

/** Whether a table of that name and comment is the guard of a port. */
export function isGuardOf(port: number, { name, comment = "" }: Pick<TableInfo, "name" | "comment">): boolean {
  if (name === `${NFT_PREFIX}${port}`) return true;
  return [...comment.matchAll(/(\d+)-(\d+)/g)].some(([, from, to]) => port >= Number(from) && port <= Number(to));
}
