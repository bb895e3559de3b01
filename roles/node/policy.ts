/**
 * What a node lets out: its owner's egress policy, made narrower for a machine that strangers use.
 *
 *   file or default policy ─▶ ports, unless the file names some: 80, 443, 8080, 8443 ─▶ lower of its limits and the flags'
 *
 * The orchestrator has rules of its own; what passes has to be allowed by both. Port 25 is closed for ever, and all but public
 * addresses are closed unless the file opens them by name (docs/egress-policy.md).
 */

import { EgressPolicy, type PolicySource } from "../../protocol/egress_policy.ts";
import type { PolicySettings, PortRange } from "../../protocol/egress_policy_file.ts";
import type { EgressSummary } from "../../protocol/sharing/node_messages.ts";

/** The web, and nothing that anybody's mail, files or logins go over in the clear. */
export const NODE_PORTS: readonly PortRange[] = [[80, 80], [443, 443], [8080, 8080], [8443, 8443]];

export type NodeLimits = Partial<PolicySettings["limits"]>;

/** The narrower policy, which follows the given one. */
export function nodePolicy(source: PolicySource, limits: NodeLimits): PolicySource {
  let from: EgressPolicy | undefined;
  let narrowed: EgressPolicy;
  return {
    get current() {
      if (from === source.current) return narrowed;
      from = source.current;
      return narrowed = new EgressPolicy(narrow(from.settings, limits));
    },
    subscribe: (listener) => source.subscribe(listener),
  };
}

function narrow(settings: PolicySettings, flags: NodeLimits): PolicySettings {
  const { ports } = settings;
  const limits: PolicySettings["limits"] = { ...settings.limits };
  for (const name of Object.keys(flags) as (keyof NodeLimits)[]) {
    const flag = flags[name];
    if (flag !== undefined) limits[name] = Math.min(flag, limits[name] ?? Infinity);
  }
  return { ...settings, ports: ports.allow ? ports : { ...ports, allow: [...NODE_PORTS] }, limits };
}

const MAX_RANGES = 32;

/** The ports that are open, as an orchestrator is told them: it need not ask for others. */
export function openPorts(policy: EgressPolicy): EgressSummary["ports"] {
  const ranges: string[] = [];
  let first: number | undefined;
  for (let port = 1; port <= 65_536 && ranges.length < MAX_RANGES; port++) {
    const isOpen = port < 65_536 && policy.isPortOpen(port);
    if (isOpen) first ??= port;
    else if (first !== undefined) {
      ranges.push(first === port - 1 ? `${first}` : `${first}-${port - 1}`);
      first = undefined;
    }
  }
  return ranges;
}
