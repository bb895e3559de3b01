/**
 * Starting, stopping and restarting services, and waiting until that is done: what `start`, `stop` and `restart` share.
 *
 *   report ─▶ order ─▶ report, report … ─▶ a line for each as soon as it is done ─▶ exit 1 where one failed
 */

import { z } from "zod";
import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { ServiceReport } from "../../protocol/manager/report.ts";
import { ConfigError } from "../config.ts";
import { durationMs } from "../fields.ts";
import { type Screen, stderrScreen } from "../files/progress.ts";
import type { RoleContext } from "../role.ts";
import { Asking, askingConfig, chosenServices, type Deed, serviceNames } from "./asking.ts";
import { DeedProgress } from "./deed_progress.ts";
import { judge, judgeForgotten, type Outcome } from "./deed_outcome.ts";

const LOOK_EVERY_MS = 200;

export const deedConfig = z.object({
  names: serviceNames("Which services."),
  all: z.boolean().default(false).describe("All that there are."),
  timeout: durationMs("2m", { minMs: 100 }).describe("How long to wait; what is not done by then goes on."),
  ...askingConfig,
});
export type DeedSettings = z.output<typeof deedConfig>;

/** `screen` is where it is shown how it goes. */
export async function runDeed(
  deed: Deed,
  settings: DeedSettings,
  context: RoleContext,
  screen: Screen = stderrScreen(),
): Promise<void> {
  const { names, all, timeout } = settings;
  if (all === names.length > 0) throw new ConfigError(`run manager-${deed}`, ["give the names of services, or --all"]);
  const asking = new Asking(settings, context);
  const before = chosenServices(names, (await asking.report()).services);
  using progress = new DeedProgress(deed, before, { screen, context });
  await asking.order(deed, before.map(({ name }) => name));
  const outcomes = await waitFor(deed, before, { asking, progress, context, timeoutMs: timeout });
  const failed = outcomes.filter(({ isGood }) => !isGood);
  if (context.json) context.print(JSON.stringify({ done: failed.length === 0, services: outcomes.map(publicOutcome) }));
  if (failed.length === 0) return;
  throw new CulvertError("failed", `Cannot ${deed}: ${failed.map(({ name, text }) => `${name} ${text}`).join("; ")}`);
}

interface NamedOutcome extends Outcome {
  readonly name: string;
  readonly report: ServiceReport;
}

async function waitFor(
  deed: Deed,
  services: readonly ServiceReport[],
  { asking, progress, context: { clock, signal }, timeoutMs }: {
    readonly asking: Asking;
    readonly progress: DeedProgress;
    readonly context: RoleContext;
    readonly timeoutMs: number;
  },
): Promise<NamedOutcome[]> {
  const untilMs = clock.now() + timeoutMs;
  const done = new Map<string, NamedOutcome>();
  const settle = (report: ServiceReport, outcome: Outcome) => {
    const named = { ...outcome, name: report.name, report };
    done.set(report.name, named);
    progress.tell(named);
  };
  for (;;) {
    const { nowMs, services: after } = await asking.report();
    const isLate = clock.now() >= untilMs;
    const current: ServiceReport[] = [];
    for (const before of services) {
      if (done.has(before.name)) continue;
      const report = after.find(({ name }) => name === before.name);
      if (!report) settle({ ...before, state: "stopped", pid: undefined }, judgeForgotten(deed));
      else {
        const outcome = judge(deed, before, { report, nowMs });
        if (outcome) settle(report, outcome);
        else if (isLate) {
          settle(report, { isGood: false, text: `is still ${report.state} after ${timeoutMs / 1000} s` });
        } else current.push(report);
      }
    }
    if (current.length === 0) return services.map(({ name }) => done.get(name)!);
    progress.show(current, nowMs);
    await delay(clock, LOOK_EVERY_MS, signal);
  }
}

function publicOutcome({ name, isGood, text, report }: NamedOutcome): Record<string, unknown> {
  const { state, pid, reason } = report;
  return { name, done: isGood, said: text, state, pid, reason };
}
