/** What roles, states and the like are called. */

/** @import { NodeView, PeerRole } from "../../dashboard/api.ts" */
/** @import { Tone } from "../lib/words.js" */

/** @type {Record<"supernode" | PeerRole, { one: string, many: string }>} */
export const roles = {
  supernode: { one: "Supernode", many: "Supernodes" },
  client: { one: "Client", many: "Clients" },
  exit: { one: "Exit", many: "Exits" },
  relay: { one: "Relay", many: "Relays" },
  upstream: { one: "Upstream", many: "Upstreams" },
  downstream: { one: "Downstream", many: "Downstreams" },
  central: { one: "Central", many: "Centrals" },
  gateway: { one: "Gateway", many: "Gateways" },
};

/** @type {Record<NodeView["state"], { label: string, tone: Tone }>} */
export const states = {
  good: { label: "Good", tone: "good" },
  draining: { label: "Draining", tone: "warn" },
  failing: { label: "Failing", tone: "bad" },
  silent: { label: "Silent", tone: "bad" },
  gone: { label: "Gone", tone: "quiet" },
  blocked: { label: "Shut out", tone: "bad" },
};

/** @type {Record<string, { label: string, tone: Tone }>} */
export const sessionStates = {
  requested: { label: "Asked for", tone: "info" },
  setting_up: { label: "Setting up", tone: "info" },
  active: { label: "Active", tone: "good" },
  rotating: { label: "Moving", tone: "warn" },
  ended: { label: "Ended", tone: "quiet" },
};

/** @param {number | null | undefined} megabits a second */
export function mbps(megabits) {
  if (megabits === null || megabits === undefined) return "–";
  if (megabits === 0) return "0 Mbit/s";
  if (megabits >= 1000) return `${(megabits / 1000).toFixed(megabits >= 10_000 ? 0 : 1)} Gbit/s`;
  return megabits >= 1
    ? `${megabits.toFixed(megabits >= 10 ? 0 : 1)} Mbit/s`
    : `${(megabits * 1000).toFixed(0)} kbit/s`;
}

/** @param {number | null | undefined} durationMs */
export function millis(durationMs) {
  if (durationMs === null || durationMs === undefined) return "–";
  if (durationMs === 0) return "0 ms";
  return `${durationMs < 10 ? durationMs.toFixed(1) : Math.round(durationMs)} ms`;
}

/** @param {number | undefined} part */
export function percent(part) {
  return part === undefined ? "–" : `${Math.round(part * 100)} %`;
}
