/**
 * Serves a tracker, on Deno Deploy or anywhere:
 *
 *   deno run --allow-net --allow-env --unstable-kv edge/main_tracker.ts
 *
 * What an operator sets in the environment, beside what `main_serve.ts` lists:
 *
 *   CULVERT_JOIN_TOKEN   only those who have it may join, and only those who have joined may ask; anybody without
 *   CULVERT_INTERVAL_MS  between two heartbeats of a peer; 60000 unless given
 *   CULVERT_DENY         peer ids and addresses with commas between
 *   CULVERT_AUTHORITY    the hosts this tracker goes by, with commas between; without, a request signed for another tracker
 *                        could be passed on to this one
 *
 * `roles/tracker.ts` is the same with flags, TLS, metrics and deny files.
 */

import deno from "../deno.json" with { type: "json" };
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { portablePrimitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { parseDenyList } from "../protocol/tracker/deny_list.ts";
import { intervalSchema } from "../protocol/tracker/messages.ts";
import { consoleLog } from "./console_log.ts";
import { env, openMainKv, serveMain } from "./main_serve.ts";
import { openTracker } from "./tracker/open.ts";

function intervalMs(): number {
  const parsed = intervalSchema.safeParse(Number(env("CULVERT_INTERVAL_MS") ?? 60_000));
  if (parsed.success) return parsed.data;
  const rule = "a whole number of milliseconds from 1000 to 86400000";
  throw new CulvertError("invalid_option", `Cannot serve a tracker: CULVERT_INTERVAL_MS must be ${rule}`);
}

const current = parseDenyList((env("CULVERT_DENY") ?? "").replaceAll(",", "\n"));
const tracker = await openTracker({
  kv: env("CULVERT_KV") === ":memory:" ? undefined : await openMainKv(),
  clock: clockOf(globalThis),
  random: randomOf(crypto),
  primitives: portablePrimitives,
  log: consoleLog(console),
  version: deno.version,
  intervalMs: intervalMs(),
  joinToken: env("CULVERT_JOIN_TOKEN"),
  deny: { current, subscribe: () => ({ [Symbol.dispose]() {} }) },
  authorities: env("CULVERT_AUTHORITY")?.split(",").map((name) => name.trim()),
});
serveMain({ app: tracker.app, drain: () => tracker[Symbol.asyncDispose]() });
