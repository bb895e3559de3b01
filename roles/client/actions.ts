/**
 * `culvert client status`, `rotate` and `down`: each asks the client that runs. `down` also takes away what one that was
 * killed has left, the kill switch with it.
 */

import { openLibc } from "../../native/libc.ts";
import { RtNetlink } from "../../native/rtnetlink.ts";
import { removeStaleSocket } from "../../native/wireguard/uapi_socket.ts";
import { deadline, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { LOCK_TABLE, removeFirewall } from "../machine/firewall.ts";
import { endHolder, Journal, journalPathOf } from "../machine/journal.ts";
import { ownRights, requireRights } from "../machine/privileges.ts";
import { undoAll } from "../machine/undo.ts";
import type { RoleContext } from "../role.ts";
import { askClient, type ControlRequest, proxySocketPath, socketPathOf, tunnelSocketPath } from "./control_socket.ts";
import type { ClientConfig } from "./settings.ts";
import { type ClientStatus, statusLines } from "./status.ts";
import { otherClients } from "./tun/journals.ts";
import { isLocked } from "./tun/packet_mode.ts";

type ActionContext = Pick<RoleContext, "clock" | "signal" | "log" | "json" | "print" | "stateDir">;
type Where = Pick<ClientConfig, "interface" | "tun">;

const ENDS_WITHIN_MS = 20_000;
const LOOK_MS = 50;

export async function status(config: Where, context: ActionContext): Promise<void> {
  show(await ask(config, { do: "status" }, context), context);
}

export async function rotate(config: Where, context: ActionContext): Promise<void> {
  show(await ask(config, { do: "rotate" }, context), context);
}

/** Ends the client and waits until nothing of it is left. Rejects with `not_up` when there is nothing to do. */
export async function down(config: Where, context: ActionContext): Promise<void> {
  const { signal, json, print } = context;
  const found = await find(config, { do: "down" }, context);
  if (found?.status.mode === "proxy") await untilGone(found.path, context);
  else if (!await clearUp(config, context) && !found) throw notUp("end the client");
  signal.throwIfAborted();
  print(json ? JSON.stringify({ down: true }) : "The client is down");
}

function show(status: ClientStatus, { json, print }: ActionContext): void {
  if (json) return print(JSON.stringify(status));
  for (const line of statusLines(status)) print(line);
}

async function ask(config: Where, request: ControlRequest, context: ActionContext): Promise<ClientStatus> {
  const found = await find(config, request, context);
  if (found) return found.status;
  const locked = isLockedHere() ? ". The kill switch is on: `culvert client down` takes it away" : "";
  throw notUp("ask the client", locked);
}

function notUp(action: string, more = ""): CulvertError {
  return new CulvertError(
    "not_up",
    `Cannot ${action}: one must run with this --state-dir or, with --tun, this --interface; there is none${more}`,
  );
}

/**
 * The client of this state directory, else the one that routes the machine. One that is to end need not answer well, as when
 * it hangs or is of another version: its process is ended all the same.
 */
async function find(
  config: Where,
  request: ControlRequest,
  context: ActionContext,
): Promise<{ readonly path: string; readonly status: ClientStatus } | undefined> {
  const tunnel = await tunnelSocketPath(config.interface);
  for (const path of config.tun ? [tunnel] : [proxySocketPath(context.stateDir), tunnel]) {
    const status = await askClient(path, request, context).catch((error) => {
      const isEnded = request.do === "down" && path === tunnel && !isDenied(error);
      if (!isEnded || context.signal.aborted) throw error;
      context.log.warn("The client does not answer as it should", { error: messageOf(error) });
      return undefined;
    });
    if (status) return { path, status };
  }
  return undefined;
}

function isDenied(error: unknown): boolean {
  return error instanceof CulvertError && error.code === "denied";
}

async function untilGone(path: string, { clock, signal }: ActionContext): Promise<void> {
  using limit = deadline(clock, ENDS_WITHIN_MS, "end the client", signal);
  while (await Deno.lstat(path).then(() => true, () => false)) await delay(clock, LOOK_MS, limit.signal);
}

/**
 * Takes away what there is of a client that routed the machine, whatever its interfaces are called; says whether there was
 * anything. The kill switch goes even when something else cannot be taken back.
 */
async function clearUp({ interface: prefix }: Where, context: ActionContext): Promise<boolean> {
  const own = await journalPathOf(prefix);
  const paths = await isThere(own) ? [own] : [];
  const others = await otherClients(own).catch((error) => {
    context.log.debug("Whether there are others cannot be seen", { error: messageOf(error) });
    return [];
  });
  paths.push(...others);
  const wasLocked = isLockedHere();
  if (paths.length === 0 && !wasLocked) return false;
  requireRights(await ownRights(), {
    action: "take down the client's tunnel",
    uses: ["end the process that holds it", "remove its interfaces, routes and rules", "take the kill switch away"],
  });
  const results: PromiseSettledResult<boolean>[] = [];
  for (const path of paths) results.push(...await Promise.allSettled([clearUpOne(path, context)]));
  context.signal.throwIfAborted();
  if (isLockedHere()) removeFirewall(LOCK_TABLE);
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return wasLocked || results.some((result) => result.status === "fulfilled" && result.value);
}

async function clearUpOne(path: string, context: ActionContext): Promise<boolean> {
  const free = await Journal.take(path);
  using journal = free ?? await endHolder(path, { what: "the client's tunnel", patienceMs: ENDS_WITHIN_MS }, context);
  const wasUp = free === undefined || free.wasLeft;
  await removeStaleSocket(socketPathOf(path));
  if (journal.undos.length > 0) {
    using libc = openLibc();
    using network = new RtNetlink(libc);
    context.log.info("Taking away what a run that was killed has left", { journal: path });
    await undoAll(journal, network, context.log);
  }
  await journal.finish();
  return wasUp;
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Whoever may not look is told that it is not. */
function isLockedHere(): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    using libc = openLibc();
    return isLocked(libc);
  } catch {
    return false;
  }
}
