/**
 * Why a node does not share at present, by what its owner has set and how the machine is. Pure: the facts come in, the
 * reasons come out, the one that counts first. `guard.ts` gathers the facts.
 */

import type { CapName } from "../../protocol/sharing/data_caps.ts";
import type { PauseReason } from "../../protocol/sharing/node_messages.ts";
import type { ScheduleState } from "../../protocol/sharing/schedule.ts";
import type { Battery } from "./battery.ts";

export interface Pause {
  readonly reason: PauseReason;
  /** For people: "the schedule does not allow it". */
  readonly text: string;
  /** When it ends by itself, where that is known. */
  readonly untilMs?: number | undefined;
  /** How long what is open may go on. */
  readonly graceMs: number;
}

/** What an owner has set, but for caps and schedule, which have states of their own. */
export interface PauseRules {
  /** Below it, and not plugged in, nothing is shared; 0 never looks. */
  readonly minBatteryPercent: number;
  readonly sharesMetered: boolean;
}

export interface PauseFacts {
  /** The owner has said so; without a time until they say otherwise. */
  readonly owner: { readonly untilMs?: number | undefined } | undefined;
  readonly spent: { readonly cap: CapName; readonly untilMs: number } | undefined;
  /** Why what is used cannot be written down. */
  readonly usageProblem: string | undefined;
  readonly schedule: ScheduleState;
  readonly battery: Battery | undefined;
  readonly isMetered: boolean;
}

/** Open pages may load to their end; a minute costs no battery and nobody's sleep. */
const PATIENT_MS = 60_000;
/** Once below the limit it has to be so much above before sharing begins anew, or it would flutter. */
const BATTERY_SLACK_PERCENT = 3;

/** None: the node shares. `isPausedForBattery`: it did not, just before. */
export function pausesOf(rules: PauseRules, facts: PauseFacts, isPausedForBattery = false): Pause[] {
  const { owner, spent, usageProblem, schedule, battery, isMetered } = facts;
  const pauses: Pause[] = [];
  if (owner) pauses.push({ reason: "owner", text: "you have paused it", untilMs: owner.untilMs, graceMs: 0 });
  if (usageProblem !== undefined) {
    const text = `what was shared cannot be written down: ${usageProblem}`;
    pauses.push({ reason: "other", text, graceMs: 0 });
  }
  if (spent) pauses.push({ ...CAP_PAUSES[spent.cap], untilMs: spent.untilMs, graceMs: 0 });
  if (!schedule.isOpen) {
    const text = "the schedule does not allow it";
    pauses.push({ reason: "schedule", text, untilMs: schedule.untilMs, graceMs: PATIENT_MS });
  }
  if (isMetered && !rules.sharesMetered) {
    pauses.push({ reason: "metered", text: "the connection is metered", graceMs: 0 });
  }
  const neededPercent = Math.min(100, rules.minBatteryPercent + (isPausedForBattery ? BATTERY_SLACK_PERCENT : 0));
  if (battery && !battery.isCharging && rules.minBatteryPercent > 0 && battery.percent < neededPercent) {
    const text = `the battery is at ${battery.percent} % and not plugged in; ${neededPercent} % are needed`;
    pauses.push({ reason: "battery", text, graceMs: PATIENT_MS });
  }
  return pauses;
}

const CAP_PAUSES: Readonly<Record<CapName, Pick<Pause, "reason" | "text">>> = {
  day: { reason: "daily_cap", text: "today's data cap is used up" },
  month: { reason: "monthly_cap", text: "this month's data cap is used up" },
};

/** When all that have an end have ended; undefined when one has none that is known. */
export function endOf(pauses: readonly Pause[]): number | undefined {
  const ends = pauses.map(({ untilMs }) => untilMs);
  return ends.every((end) => end !== undefined) && ends.length > 0 ? Math.max(...ends) : undefined;
}
