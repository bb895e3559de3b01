/**
 * What a node's owner reads: what it will share, the text to agree to, why it shares nothing at present.
 */

import type { CapLimits } from "../../protocol/sharing/data_caps.ts";
import type { ConsentText } from "../../protocol/sharing/consent.ts";
import type { EgressPolicy } from "../../protocol/egress_policy.ts";
import type { PolicySettings } from "../../protocol/egress_policy_file.ts";
import { formatCidr } from "../../protocol/ip.ts";
import { formatSpan } from "../../protocol/sharing/schedule.ts";
import { wrap } from "../config/help.ts";
import { escapeText } from "../escape.ts";
import { bytesText } from "../table.ts";
import type { Pause } from "./pauses.ts";
import { openPorts } from "./policy.ts";
import type { NodeConfig } from "./settings.ts";

const WIDTH = 80;

/** The figures of what will be shared, for the owner to see before anything is. */
export function offerLines(config: NodeConfig, policy: EgressPolicy): string[] {
  const { limits } = policy;
  const up = speedText(limits.maxUploadBytesPerSecond);
  const down = speedText(limits.maxDownloadBytesPerSecond);
  const caps: CapLimits = { dayBytes: config.dailyCap, monthBytes: config.monthlyCap, monthDay: config.monthDay };
  return rows([
    ["through", config.orchestrator.map(({ url }) => url).join(" ")],
    ["ports", openPorts(policy).join(", ") || "none"],
    ["addresses", ["public", ...policy.settings.allow_addresses.map(ruleText)].join(", ")],
    ["connections", `${limits.maxConnections} at once`],
    ["speed", up === down ? `${up} each way` : `${up} up, ${down} down`],
    ["a day", capText(caps.dayBytes)],
    ["a month", capText(caps.monthBytes) + (config.monthDay === 1 ? "" : `, from day ${config.monthDay} on`)],
    ["when", config.schedule.map(formatSpan).join("; ") || "always"],
    ["battery", config.minBattery === 0 ? "whatever is left" : `from ${config.minBattery} %, or plugged in`],
    ["metered", config.metered === "pause" ? "not on metered connections" : "on metered connections too"],
  ]);
}

/** The text that the owner is asked to agree to, as wide as a terminal. */
export function consentLines(text: ConsentText): string[] {
  return [
    `What you agree to (version ${text.version}):`,
    ...text.paragraphs.flatMap((paragraph) => ["", ...wrap(paragraph, WIDTH)]),
  ];
}

/** "paused until 06:00: the schedule does not allow it" for each reason; none: nothing. */
export function pauseLines(pauses: readonly Pick<Pause, "text" | "untilMs">[], nowMs: number): string[] {
  return pauses.map(({ text, untilMs }) =>
    `${untilMs === undefined ? "" : `until ${timeText(untilMs, nowMs)}: `}${text}`
  );
}

/** A time on the clock on the wall; with the day unless it is within twelve hours. */
export function timeText(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const isNear = Math.abs(atMs - nowMs) < 12 * 3_600_000;
  return isNear ? time : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** Names and texts in two columns; those without a text are left out. */
export function rows(all: readonly (readonly [name: string, text: string | undefined])[]): string[] {
  const shown = all.filter((row): row is [string, string] => row[1] !== undefined && row[1] !== "");
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, text]) => `${name.padEnd(width)}  ${escapeText(text)}`);
}

function ruleText(rule: PolicySettings["allow_addresses"][number]): string {
  return typeof rule === "string" ? rule : formatCidr(rule);
}

function capText(bytes: number | undefined): string {
  return bytes === undefined
    ? "no limit"
    : `${bytesText(bytes)} (your connection carries about ${bytesText(2 * bytes)})`;
}

function speedText(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined ? "no limit" : `${+(bytesPerSecond / 125_000).toFixed(1)} Mbit/s`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
