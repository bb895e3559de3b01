/**
 * `down`: asks the process that holds a tunnel to end and waits until it has taken everything away. What a killed process
 * has left is taken away here.
 */

import { openLibc } from "../../native/libc.ts";
import { RtNetlink } from "../../native/rtnetlink.ts";
import { deadline } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import { confNameOf } from "./conf_file.ts";
import { holderOf, Journal, journalPathOf, takeWhenFree } from "../machine/journal.ts";
import { ownRights, requireRights } from "../machine/privileges.ts";
import { undoAll } from "../machine/undo.ts";

/** Longer than a stop may take by default: draining, then the time that is left after cutting. */
const PATIENCE_MS = 20_000;

type DownContext = Pick<RoleContext, "clock" | "signal" | "log" | "json" | "print">;

/** Takes an interface of ours down. Rejects with `not_up` when there is nothing to take down. */
export async function down(word: string, context: DownContext): Promise<void> {
  const { interfaceName } = confNameOf(word);
  requireRights(await ownRights(), {
    action: `take down ${interfaceName}`,
    uses: ["end the process that holds it", "remove the interface, its routes and rules"],
  });
  const path = await journalPathOf(interfaceName);
  const free = await Journal.take(path);
  using journal = free ?? await endHolder(path, interfaceName, context);
  if (journal.undos.length > 0) {
    using libc = openLibc();
    using network = new RtNetlink(libc);
    context.log.info("Taking away what a run that was killed has left", { interface: interfaceName });
    await undoAll(journal, network, context.log);
  }
  const wasUp = free === undefined || free.wasLeft;
  await journal.finish();
  if (!wasUp) {
    throw new CulvertError(
      "not_up",
      `Cannot take down ${interfaceName}: it must have been brought up by culvert in this network namespace, and was not`,
    );
  }
  context.print(context.json ? JSON.stringify({ interface: interfaceName, down: true }) : `${interfaceName} is down`);
}

/** SIGTERM, and the journal once its holder has let go of it. */
async function endHolder(path: string, interfaceName: string, { clock, signal }: DownContext): Promise<Journal> {
  const pid = await holderOf(path);
  if (pid !== undefined) terminate(pid);
  using limit = deadline(clock, PATIENCE_MS, `take down ${interfaceName}`, signal);
  const journal = await takeWhenFree(path, { clock, signal: limit.signal });
  if (journal) return journal;
  signal.throwIfAborted();
  throw new CulvertError(
    "timeout",
    `Cannot take down ${interfaceName}: process ${pid ?? "unknown"} must end within ${
      PATIENCE_MS / 1000
    } s, and goes on; ` +
      "kill -9 it if need be, and take down again to remove what it leaves",
  );
}

function terminate(pid: number): void {
  try {
    Deno.kill(pid, "SIGTERM");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
