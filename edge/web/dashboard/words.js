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
  blocked: { label: "Blocked", tone: "bad" },
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

/** @typedef {{ name: string, size: number }} Unit */

/** The largest first, as parts of a Mbit/s. @type {readonly Unit[]} */
export const RATES = [{ name: "Gbit/s", size: 1000 }, { name: "Mbit/s", size: 1 }, { name: "kbit/s", size: 0.001 }];

const MOST_DIGITS = 3;

/**
 * Values along an axis: all in the unit that suits the largest, with as many digits as tell one from the next.
 * @param {readonly number[]} values at equal distances
 * @param {readonly Unit[]} units the largest first
 */
export function axisTexts(values, units) {
  const most = Math.max(...values);
  const { name, size } = units.find((unit) => most >= unit.size) ?? units.at(-1) ?? { name: "", size: 1 };
  const step = ((values[1] ?? 0) - (values[0] ?? 0)) / size;
  let digits = 0;
  while (digits < MOST_DIGITS && Math.abs(step - Number(step.toFixed(digits))) > 1e-9) digits++;
  return values.map((value) => {
    const number = (value / size).toLocaleString("en", {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
    return `${number} ${name}`.trim();
  });
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
