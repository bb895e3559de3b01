/**
 * Serves a tracker with `deno serve edge/main_tracker.ts`, or on Deno Deploy, where an operator sets what it needs to know in
 * the environment:
 *
 *   CULVERT_KV            a path, an https URL or ":memory:"; on Deploy, left out, the app's own
 *   CULVERT_JOIN_TOKEN    only those who have it may join, and only those who have joined may ask; anybody without
 *   CULVERT_INTERVAL_MS   between two heartbeats of a peer; 60000 unless given
 *   CULVERT_DENY          peer ids and addresses with commas between
 *   CULVERT_AUTHORITY     the hosts this tracker goes by, with commas between; without, a request signed for another tracker
 *                         could be passed on to this one
 *   CULVERT_BEHIND_PROXY  1 if all requests come through a reverse proxy of yours
 *
 * `roles/tracker.ts` is the same with flags, TLS, metrics and deny files.
 */

import deno from "../deno.json" with { type: "json" };
import { openKv } from "../kv/open.ts";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { portablePrimitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { parseDenyList } from "../protocol/tracker/deny_list.ts";
import { intervalSchema } from "../protocol/tracker/messages.ts";
import { consoleLog } from "./console_log.ts";
import { remoteAddressOf } from "./remote_address.ts";
import { openTracker } from "./tracker/open.ts";

const env = (name: string) => Deno.env.get(name) || undefined;

function intervalMs(): number {
  const parsed = intervalSchema.safeParse(Number(env("CULVERT_INTERVAL_MS") ?? 60_000));
  if (parsed.success) return parsed.data;
  const rule = "a whole number of milliseconds from 1000 to 86400000";
  throw new CulvertError("invalid_option", `Cannot serve a tracker: CULVERT_INTERVAL_MS must be ${rule}`);
}

async function store(): Promise<Deno.Kv | undefined> {
  const location = env("CULVERT_KV");
  const isOnDeploy = env("DENO_DEPLOY") !== undefined || env("DENO_DEPLOYMENT_ID") !== undefined;
  if (location === undefined && isOnDeploy) return await Deno.openKv();
  return location === undefined || location === ":memory:" ? undefined : await openKv(location);
}

const current = parseDenyList((env("CULVERT_DENY") ?? "").replaceAll(",", "\n"));
const tracker = await openTracker({
  kv: await store(),
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
const behindProxy = env("CULVERT_BEHIND_PROXY") === "1";

export default {
  fetch(request, { remoteAddr }) {
    const connected = "hostname" in remoteAddr ? remoteAddr.hostname : undefined;
    return tracker.app.fetch(request, { remoteAddress: remoteAddressOf(request.headers, connected, { behindProxy }) });
  },
} satisfies Deno.ServeDefaultExport;
