/**
 * How `culvert proxy report` reaches the proxy that runs: a socket in its state directory, named for where the proxy listens.
 * Only a proxy that splits has one, be it of `culvert proxy` or of a transport's client; one that cannot have it says so and
 * does its work all the same.
 */

import { join } from "@std/path";
import { z } from "zod";
import { splitReportOf } from "../../net/combine.ts";
import type { Clock } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { type SplitReport, splitReportSchema } from "../../protocol/split/report.ts";
import { parseTarget, type Path, type Target } from "../../protocol/stream.ts";
import { askControlSocket, type ControlWords, serveControlSocket } from "../control_socket.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

const requestSchema = z.object({ do: z.literal("report") });

const words: ControlWords<z.infer<typeof requestSchema>, SplitReport> = {
  role: "proxy",
  request: requestSchema,
  answer: splitReportSchema,
};

function socketPath(stateDir: string, { host, port }: Target): string {
  return join(stateDir, `proxy-${host.toLowerCase()}-${port}.sock`);
}

const NOTHING_SERVED: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

/** Where a proxy listens, as `culvert proxy report` is told it. Undefined where it does not. */
export function reportedAt(told: Target | undefined, bound: string | undefined): Target | undefined {
  const port = bound === undefined ? undefined : parseTarget(bound)?.port;
  return told && port !== undefined ? { host: told.host, port } : undefined;
}

/** Serves until it is disposed; of a path that splits nothing there is nothing to tell. */
export async function serveSplitReport(
  path: Path,
  listen: Target | undefined,
  { stateDir, clock, log }: Pick<RoleContext, "stateDir" | "clock" | "log">,
): Promise<AsyncDisposable> {
  if (!splitReportOf(path) || !listen) return NOTHING_SERVED;
  const answer = () => Promise.resolve(splitReportOf(path)!);
  try {
    await StateDirectory.open(stateDir);
    return await serveControlSocket({ path: socketPath(stateDir, listen), words, answer, clock, log });
  } catch (error) {
    log.warn("The split cannot be asked for its report", { error: messageOf(error) });
    return NOTHING_SERVED;
  }
}

/** What the proxy that listens there has found; undefined when none answers. */
export function askSplitReport(
  stateDir: string,
  listen: Target,
  waiting: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<SplitReport | undefined> {
  return askControlSocket({ path: socketPath(stateDir, listen), words }, { do: "report" }, waiting);
}
