/**
 * The guard's rules for kernels without nf_tables, by the programs iptables and ip6tables.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { GuardedPorts, PortRules, RuleHost } from "./rules.ts";

export function guardByIptables(_guarded: GuardedPorts, _host: RuleHost): PortRules {
  throw new CulvertError("no_nftables", "Cannot guard a port: the kernel must have nf_tables, and has none");
}
