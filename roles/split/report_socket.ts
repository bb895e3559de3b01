/**
 * How `culvert proxy report` reaches the proxy that runs: a socket in its state directory, named for the port that the proxy
 * listens on. Only a proxy that splits has one, be it of `culvert proxy` or of a transport's client.
 */

import { join } from "@std/path";
import { z } from "zod";
import { splitReportOf } from "../../net/combine.ts";
import type { Clock } from "../../protocol/clock.ts";
import { type SplitReport, splitReportSchema } from "../../protocol/split/report.ts";
import { parseTarget, type Path } from "../../protocol/stream.ts";
import { askControlSocket, type ControlWords, serveControlSocket } from "../control_socket.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

const requestSchema = z.object({ do: z.literal("report") });

const words: ControlWords<z.infer<typeof requestSchema>, SplitReport> = {
  role: "proxy",
  request: requestSchema,
  answer: splitReportSchema,
};

function socketPath(stateDir: string, port: number): string {
  return join(stateDir, `proxy-${port}.sock`);
}

/** Serves until it is disposed; of a path that splits nothing there is nothing to tell. `listen` is the proxy's address, where there is one. */
export async function serveSplitReport(
  path: Path,
  listen: string | undefined,
  { stateDir, clock, log }: Pick<RoleContext, "stateDir" | "clock" | "log">,
): Promise<AsyncDisposable> {
  const port = listen === undefined ? undefined : parseTarget(listen)?.port;
  if (!splitReportOf(path) || port === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  await StateDirectory.open(stateDir);
  const answer = () => Promise.resolve(splitReportOf(path)!);
  return await serveControlSocket({ path: socketPath(stateDir, port), words, answer, clock, log });
}

/** What the proxy on that port has found; undefined when none answers. */
export function askSplitReport(
  stateDir: string,
  port: number,
  waiting: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<SplitReport | undefined> {
  return askControlSocket({ path: socketPath(stateDir, port), words }, { do: "report" }, waiting);
}
