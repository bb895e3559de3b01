/**
 * How each step of bringing a tunnel up is taken back, by the run that took it or by the next one. Each is harmless when
 * there is nothing to take back.
 */

import type { RtNetlink } from "../../native/rtnetlink.ts";
import { removeStaleSocket } from "../../native/wireguard/uapi_socket.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { unsetDns } from "./dns.ts";
import { removeFirewall } from "./firewall.ts";
import type { Journal, SettingUndo, Undo } from "./journal.ts";

/** What our links carry, so that one that another program made in the meantime is left alone. */
const LINK_ALIAS = "culvert";

export type UndoNetwork = Pick<RtNetlink, "link" | "removeLink" | "removeRule" | "routes" | "removeRoute">;

/** Takes back everything in a journal, last to first, and empties it; throws the first failure after trying all. */
export async function undoAll(journal: Journal, network: UndoNetwork, log: Log): Promise<void> {
  const failures: unknown[] = [];
  for (const undo of journal.undos.toReversed()) {
    try {
      await takeBack(undo, network, journal);
    } catch (error) {
      log.error("Something could not be taken back; the next `up` or `down` tries again", {
        what: undo.kind,
        error: messageOf(error),
      });
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  await journal.clear();
}

async function takeBack(undo: Undo, network: UndoNetwork, journal: Journal): Promise<void> {
  switch (undo.kind) {
    case "link": {
      const link = network.link(undo.name);
      if (link?.alias === LINK_ALIAS) network.removeLink(link.index);
      return;
    }
    case "rule":
      network.removeRule(undo.rule);
      return;
    case "routes":
      return removeRoutes(undo.table, network);
    case "dns":
      return await unsetDns(undo.name);
    case "setting":
      return await putBack(undo, journal);
    case "firewall":
      return removeFirewall(undo.table);
    case "socket":
      await removeStaleSocket(undo.path);
  }
}

function removeRoutes(table: number, network: UndoNetwork): void {
  for (const family of [4, 6] as const) {
    for (const { destination, metric } of network.routes({ family, table })) {
      network.removeRoute({ destination, table, ...metric !== undefined && { metric } });
    }
  }
}

/** Unless somebody has changed it since, or another tunnel needs it and will put it back. */
async function putBack({ path, before, after }: SettingUndo, journal: Journal): Promise<void> {
  if (await journal.othersSetting(path)) return;
  // A setting of an interface goes with it.
  const present = await Deno.readTextFile(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  if (present?.trim() === after) await Deno.writeTextFile(path, before);
}
