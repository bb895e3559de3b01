/**
 * `culvert kcp ping`: whether the far end answers with this key, and how long both ways take. What is measured is what a
 * session would have: it includes what the far end waits before it acknowledges.
 */

import { z } from "zod";
import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import { durationMs } from "../fields.ts";
import { type FarEnd, farPlace, openFarEnd, speakingShape, type ToolContext, USUAL_PATH_BYTES } from "./far_end.ts";

export const pingConfig = z.object({
  to: farPlace().describe("The server.").meta({ positional: true, placeholder: "host:port" }),
  ...speakingShape,
  count: z.number().int().min(1).max(1_000_000).default(4).describe("How often to ask.").meta({ placeholder: "count" }),
  every: durationMs("1s", { minMs: 10 }).describe("How often."),
  timeout: durationMs("2s", { minMs: 10 }).describe("How long an answer may take."),
  bytes: z.number().int().min(1).max(65_535).optional()
    .describe("kcptun, paqet, gfk-go: how long the datagrams are.").meta({
      placeholder: "bytes",
      defaultText: "as short as can be",
    }),
  mtu: z.boolean().default(false).describe("kcptun, paqet, gfk-go: find the longest datagram that gets there, too."),
});
export type PingConfig = z.output<typeof pingConfig>;

/** Rejects with `no_answer` when nothing came back at all. */
export async function runPing(config: PingConfig, context: ToolContext): Promise<void> {
  const { json, print, signal } = context;
  await using far = await openFarEnd(config.to, config, context);
  if (config.bytes !== undefined && config.dialect === "culvert") {
    throw new CulvertError(
      "bad_option",
      "Cannot ping: --bytes is for other dialects; ours says hellos of its own length",
    );
  }
  const where = `${far.address}:${formatPorts(far.ports)}`;
  const times = await askAll(far, config, context);
  const answers = times.filter((time) => time !== undefined);
  const payloadBytes = config.mtu && answers.length > 0 ? await far.findMtu?.(signal) : undefined;
  const mtu = payloadBytes === undefined ? undefined : { payloadBytes, pathBytes: payloadBytes + far.overheadBytes };
  const summary = { asked: times.length, answered: answers.length, ...statisticsOf(answers) };
  if (json) {
    print(
      JSON.stringify({ to: where, ...summary, roundTripsMs: times.map((time) => time ?? null), ...mtu && { mtu } }),
    );
  } else {
    print(`${summary.answered} of ${summary.asked} answered${timesText(answers)}`);
    if (mtu) print(mtuText(mtu));
  }
  if (answers.length > 0) return;
  throw new CulvertError(
    "no_answer",
    `Cannot hear from ${where}: ${
      far.strangePackets() > 0
        ? "packets come from there that this key does not open"
        : "nothing comes back. `culvert kcp doctor` says what may be wrong"
    }`,
  );
}

async function askAll(far: FarEnd, config: PingConfig, context: ToolContext): Promise<(number | undefined)[]> {
  const { clock, signal, json, print } = context;
  const times: (number | undefined)[] = [];
  for (let asked = 0; asked < config.count; asked++) {
    if (asked > 0) await delay(clock, config.every, signal);
    const answer = await far.ask({
      timeoutMs: config.timeout,
      signal,
      ...config.bytes !== undefined && { payloadBytes: config.bytes },
    });
    times.push(answer && round(answer.roundTripMs));
    if (!json) print(answer ? `${asked + 1}: ${round(answer.roundTripMs)} ms` : `${asked + 1}: no answer`);
  }
  return times;
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

interface Statistics {
  readonly leastMs?: number;
  readonly meanMs?: number;
  readonly mostMs?: number;
}

function statisticsOf(times: readonly number[]): Statistics {
  if (times.length === 0) return {};
  const sum = times.reduce((sum, time) => sum + time, 0);
  return { leastMs: Math.min(...times), meanMs: round(sum / times.length), mostMs: Math.max(...times) };
}

function timesText(times: readonly number[]): string {
  const { leastMs, meanMs, mostMs } = statisticsOf(times);
  return leastMs === undefined ? "" : `, in ${leastMs} to ${mostMs} ms, ${meanMs} on average`;
}

function mtuText({ payloadBytes, pathBytes }: { payloadBytes: number; pathBytes: number }): string {
  const path = pathBytes >= USUAL_PATH_BYTES ? "the path takes all that is ever sent" : `the path takes ${pathBytes}`;
  return `Datagrams of up to ${payloadBytes} bytes get there: ${path}`;
}
