/**
 * Parts that are killed while people watch: what was asked for by `--kill`, and what became of the traffic.
 */

import { z } from "zod";
import { delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { quoteText } from "../escape.ts";
import { durationMs } from "../fields.ts";
import type { RoleContext } from "../role.ts";
import type { WatchedNetwork } from "./watched_network.ts";

/** A part, and how long after the network is ready it is killed. */
export interface Kill {
  readonly part: string;
  readonly afterMs: number;
}

const RULE = "a part such as exit-1, or exit-1@10s for ten seconds after the start";

/** The setting: `exit-1` or `exit-1@10s`. Which parts there are shows later. */
export const killSchema: z.ZodType<Kill> = z.string().meta({ placeholder: "part[@time]", rule: RULE })
  .transform((text, context): Kill => {
    const [part, after = "0", ...rest] = text.split("@");
    const afterMs = durationMs().safeParse(after);
    if (part && afterMs.success && rest.length === 0) return { part, afterMs: afterMs.data };
    context.issues.push({ code: "custom", message: RULE, input: text });
    return z.NEVER;
  });

/** What is wrong with kills in a network that has these parts. */
export function problemsOf(kills: readonly Kill[], names: readonly string[]): string[] {
  return kills.filter(({ part }) => !names.includes(part))
    .map(({ part }) => `--kill must be ${RULE}; there are ${names.join(", ")}, got ${quoteText(part, 80)}`);
}

/** How long a stream is waited for after a part was killed. */
const RECOVER_WITHIN_MS = 60_000;

/** How long the way before is waited for. */
const BEFORE_WITHIN_MS = 2_000;

/** For programs. */
export type Report = { readonly event: string; readonly [name: string]: unknown };

export interface FailuresOptions {
  readonly network: WatchedNetwork;
  readonly context: Pick<RoleContext, "clock" | "signal" | "log">;
  /** Tells people, or programs. */
  tell(report: Report, lines: readonly string[]): void;
}

export class Failures {
  readonly #options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** Kills when the time has come. Never rejects. */
  async plan({ part, afterMs }: Kill): Promise<void> {
    const { clock, signal, log } = this.#options.context;
    try {
      await delay(clock, afterMs, signal);
      await this.kill(part);
    } catch (error) {
      if (!signal.aborted) log.error("Cannot kill a part", { part, error: messageOf(error) });
    }
  }

  /**
   * Kills it, and tells how long the next stream took and which way it went; `onKilled` is called before that is known, and not
   * when there was nothing to kill.
   */
  async kill(part: string, onKilled: () => void = () => {}): Promise<void> {
    const { network, tell } = this.#options;
    const tellNot = () => tell({ event: "not_running", part }, [`${part} does not run.`]);
    if (!network.isRunning(part)) return tellNot();
    const before = part === network.entrance ? undefined : await network.findRoute(BEFORE_WITHIN_MS);
    // Somebody else may have killed it meanwhile.
    if (!network.kill(part)) return tellNot();
    onKilled();
    if (part === network.entrance) {
      return tell({ event: "killed", part }, [`${part} is killed: there is no proxy until you say: start ${part}`]);
    }
    const was = before ? network.partsOf(before.travel) : [];
    const how = was.includes(part) ? "; streams went through it" : "; no stream went through it";
    tell({ event: "killed", part, before: was }, [
      `${part} is killed${network.isTold(part) ? how : ""}.`,
      `  before  ${was.join(" > ") || "no way"}`,
    ]);
    const after = await network.findRoute(RECOVER_WITHIN_MS);
    if (!after) {
      const lines = [`  No stream has come through for ${RECOVER_WITHIN_MS / 1000} s. To heal it: start ${part}`];
      return tell({ event: "lost", part }, lines);
    }
    const now = network.partsOf(after.travel);
    const tookMs = Math.round(after.tookMs * 10) / 10;
    const failed = after.failedTries > 0 ? `, after ${after.failedTries} that failed` : "";
    tell({ event: "recovered", part, after: now, tookMs, failedTries: after.failedTries }, [
      `  now     ${now.join(" > ")}`,
      `  The next stream came through within ${tookMs} ms${failed}.`,
    ]);
  }
}
