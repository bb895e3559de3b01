/**
 * `down`: asks the process that holds a tunnel to end and waits until it has taken everything away. What a killed process
 * has left is taken away here.
 */

import { openLibc } from "../../native/libc.ts";
import { RtNetlink } from "../../native/rtnetlink.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import { confNameOf } from "./conf_file.ts";
import { endHolder, Journal, journalPathOf } from "../machine/journal.ts";
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
  using journal = free ?? await endHolder(path, { what: interfaceName, patienceMs: PATIENCE_MS }, context);
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
