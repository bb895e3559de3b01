/**
 * The guard's rules as a table of nftables, owned by this process: the kernel takes it away when its socket closes, and
 * nobody else can change it. Kernels before 5.12 know no owners; there it is taken away when the guard ends, and should we be
 * killed by the next guard that finds the port unused.
 */

import type { IpAddress } from "../../protocol/ip.ts";
import { fib, ipOf, tcp } from "../../protocol/nftables/fields.ts";
import { type Clause, comment, type Rule, rule } from "../../protocol/nftables/rule.ts";
import { counter, drop, notrack } from "../../protocol/nftables/statements.ts";
import { type BaseChain, Priority, type Table } from "../../protocol/nftables/table.ts";
import { Errno, SysError } from "../errno.ts";
import { Nft } from "../nft.ts";
import { type GuardedPorts, type PortRules, type RuleHost, runsOf } from "./rules.ts";

const PREFIX = "culvert_raw_";

/** What this kernel's nf_tables may lack. */
interface TableOptions {
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
const LACKING: readonly number[] = [Errno.EOPNOTSUPP, Errno.EINVAL, Errno.ENOENT];

export function guardByNft(guarded: GuardedPorts, { libc }: RuleHost): PortRules {
  using stack = new DisposableStack();
  const nft = stack.use(new Nft(libc));
  const table = setFirstPossible(nft, guarded);
  stack.defer(() => nft.deleteTable(table.name));
  const held = stack.move();
  return { [Symbol.asyncDispose]: () => Promise.resolve(held.dispose()) };
}

function setFirstPossible(nft: Nft, guarded: GuardedPorts): Table {
  let refusal: unknown;
  for (const options of KERNELS) {
    const table = guardTable(guarded, options);
    try {
      nft.replaceTable(table);
      return table;
    } catch (error) {
      if (!(error instanceof SysError && LACKING.includes(error.errno))) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
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
  const incoming: Rule[] = [rule(...from(peer), dport, ...local, counter(), comment("ours to read"), drop())];
  const outgoing: Rule[] = [
    rule(...to(peer), sport, tcp.flags({ set: ["rst"] }), counter(), comment("resets of the kernel"), drop()),
    rule(...to(peer), sport, notrack()),
  ];
  return {
    name: `${PREFIX}${runs[0]!.from}`,
    comment: "packets that culvert sends and receives itself",
    isOwned,
    chains: [
      { name: "incoming", base: at("prerouting"), rules: incoming },
      { name: "outgoing", base: at("output"), rules: outgoing },
    ],
  };
}
