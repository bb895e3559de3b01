/**
 * The guard's rules as iptables takes them, and those of a list that are ours.
 *
 *   -t raw -I PREROUTING -p tcp --dport 45000:45007 -m addrtype --dst-type LOCAL -m comment --comment culvert-raw-45000 -j DROP
 *
 * The comment tells whose a rule is: guards are named after their first port. No part of a rule of ours has a space.
 */

import { formatIp } from "../../protocol/ip.ts";
import { type GuardedPorts, runsOf } from "./rules.ts";

const TAG = "culvert-raw-";
const TAGGED = new RegExp(`^-A \\S+ .*--comment ${TAG}(\\d+)(?: |$)`);

/** What this kernel's iptables may lack. */
export interface RuleSupport {
  /** Only `raw` comes before connections are tracked. */
  readonly table: "raw" | "mangle";
  /** Only packets to addresses of this machine (xt_addrtype), so that nothing forwarded is touched. */
  readonly knowsLocal: boolean;
}

export const SUPPORTS: readonly RuleSupport[] = [
  { table: "raw", knowsLocal: true },
  { table: "raw", knowsLocal: false },
  { table: "mangle", knowsLocal: true },
  { table: "mangle", knowsLocal: false },
];

/** Each without the verb: `PREROUTING -p tcp …`. They are inserted before those of others. */
export function guardRules({ ports, peer }: GuardedPorts, { table, knowsLocal }: RuleSupport): string[][] {
  const runs = runsOf(ports);
  const comment = ["-m", "comment", "--comment", `${TAG}${runs[0]!.from}`];
  const address = peer && `${formatIp(peer)}/${peer.length * 8}`;
  const from = address ? ["-s", address] : [], to = address ? ["-d", address] : [];
  const local = knowsLocal ? ["-m", "addrtype", "--dst-type", "LOCAL"] : [];
  return runs.flatMap((run) => {
    const port = run.from === run.to ? `${run.from}` : `${run.from}:${run.to}`;
    const sent = ["OUTPUT", ...to, "-p", "tcp", "-m", "tcp", "--sport", port];
    return [
      ["PREROUTING", ...from, "-p", "tcp", "-m", "tcp", "--dport", port, ...local, ...comment, "-j", "DROP"],
      [...sent, "--tcp-flags", "RST", "RST", ...comment, "-j", "DROP"],
      ...table === "raw" ? [[...sent, ...comment, "-j", "CT", "--notrack"]] : [],
    ];
  });
}

/** A rule of ours in the list that `iptables -S` gives. */
export interface ListedRule {
  /** The first port of its guard. */
  readonly guard: number;
  /** Without the verb. */
  readonly rule: readonly string[];
}

export function ourRules(listed: string): ListedRule[] {
  return listed.split("\n").flatMap((line) => {
    const match = TAGGED.exec(line.trim());
    return match ? [{ guard: Number(match[1]), rule: line.trim().split(/\s+/).slice(1) }] : [];
  });
}

/** Whether that is the rule which keeps packets to a port from the kernel. */
export function isGuardedBy({ rule }: ListedRule, port: number): boolean {
  const at = rule.indexOf("--dport");
  const [from = NaN, to = from] = at < 0 ? [] : (rule[at + 1] ?? "").split(":").map(Number);
  return port >= from && port <= to;
}
