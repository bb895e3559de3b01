/**
 * A client without an exit goes on looking for one, and not only where it is: its supernode may be cut off from base, or
 * full, while another of its list has what it wants.
 *
 *   no exit for 30 s ──→ asks again ── none ──→ moves on to the next supernode of the list, if there is one
 *        ↑                   │ found                │
 *        └───────────────────┴──────────────────────┘  each round through the list takes twice as long, up to 5 min
 *
 * A supernode through which there is an exit is never left here, and neither is one that cannot be reached: getting back
 * to that, or to another, is the business of `protocol/control/reconnect.ts`.
 */

import type { ControlStream } from "../../net/control.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";

const LOOK_EVERY_MS = 2_000;
/** For so long a client is content with a supernode that has no exit for it. */
const WITHOUT_MS = 30_000;
const MAX_WITHOUT_MS = 300_000;

export interface ExitSearchOptions {
  readonly exits: Pick<SessionSwitch, "present" | "warm">;
  readonly control: Pick<ControlStream, "isOpen" | "supernode" | "moveOn">;
  /** How many supernodes the list has. */
  readonly supernodes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Until the signal aborts. Never rejects. */
export async function searchExits(options: ExitSearchOptions, signal: AbortSignal): Promise<void> {
  const { exits, control, clock, random, supernodes } = options;
  let searches = 0;
  /** Since when it is with this supernode without an exit, and until when that is borne. */
  let wait: { readonly at: string; readonly untilMs: number } | undefined;
  for (;;) {
    await delay(clock, LOOK_EVERY_MS, signal).catch(() => {});
    if (signal.aborted) return;
    if (exits.present) searches = 0;
    if (exits.present || !control.isOpen) {
      wait = undefined;
      continue;
    }
    const at = control.supernode.supernodeId;
    if (wait?.at !== at) {
      const patienceMs = Math.min(MAX_WITHOUT_MS, WITHOUT_MS * 2 ** Math.floor(searches / supernodes));
      wait = { at, untilMs: clock.now() + patienceMs * (1 + random.next() / 4) };
    }
    if (clock.now() < wait.untilMs) continue;
    wait = undefined;
    searches++;
    await search(options, signal);
  }
}

async function search({ exits, control, log }: ExitSearchOptions, signal: AbortSignal): Promise<void> {
  const { supernodeId } = control.supernode;
  try {
    await exits.warm(signal);
  } catch (error) {
    if (signal.aborted || exits.present || control.supernode.supernodeId !== supernodeId) return;
    const isLeaving = control.moveOn();
    const where = isLeaving ? "There is no exit at this supernode: trying the next" : "There is still no exit";
    log.warn(where, { supernode_id: supernodeId, error: messageOf(error) });
  }
}
