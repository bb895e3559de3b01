/**
 * What `culvert client status`, `rotate` and `down` ask the client that runs, and where its socket is.
 *
 * A client that routes the machine has it in the run directory, by the name of its interfaces, so that it is found without
 * knowing how it was started; one that is a proxy has it in its state directory.
 */

import { z } from "zod";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import { askControlSocket, type ControlWords, serveControlSocket } from "../control_socket.ts";
import { journalPathOf } from "../machine/journal.ts";
import { type ClientStatus, clientStatusSchema } from "./status.ts";

const requestSchema = z.object({ do: z.enum(["status", "rotate", "down"]) });
export type ControlRequest = z.infer<typeof requestSchema>;

const words: ControlWords<ControlRequest, ClientStatus> = {
  role: "client",
  request: requestSchema,
  answer: clientStatusSchema,
};

export function proxySocketPath(stateDir: string): string {
  return `${stateDir}/client.sock`;
}

export async function tunnelSocketPath(interfacePrefix: string): Promise<string> {
  return socketPathOf(await journalPathOf(interfacePrefix));
}

/** Beside the journal. */
export function socketPathOf(journalPath: string): string {
  return `${journalPath}.sock`;
}

/** What a client does when it is asked to; what it throws is told. */
export interface ControlDeeds {
  status(): Promise<ClientStatus>;
  /** Gives how it is afterwards. */
  rotate(signal: AbortSignal): Promise<ClientStatus>;
  /** Begins to end. */
  down(): Promise<ClientStatus>;
}

export interface ControlServerOptions {
  readonly path: string;
  readonly deeds: ControlDeeds;
  readonly clock: Clock;
  readonly log: Log;
}

/** Serves until it is disposed. Rejects with `exists` when another client answers there. */
export function serveControl({ path, deeds, clock, log }: ControlServerOptions): Promise<AsyncDisposable> {
  return serveControlSocket({ path, words, clock, log, answer: (request, signal) => deeds[request.do](signal) });
}

/** Asks the client that answers there; undefined when none does. */
export function askClient(
  path: string,
  request: ControlRequest,
  waiting: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<ClientStatus | undefined> {
  return askControlSocket({ path, words }, request, waiting);
}
