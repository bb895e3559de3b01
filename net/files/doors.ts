/**
 * Ports of 127.0.0.1 behind which a file server answers: one for the owner, and one for each guest, to which whoever lets the
 * guest in joins the guest's streams. Whoever is behind a door is told by the door, not by the request.
 *
 *   guest's stream ─▶ 127.0.0.1:PORT of the guest's door ─▶ handle(request, guest)
 *
 * A door is for programs of this machine alone, but any of them: there is no telling them apart.
 */

import type { PeerGuest } from "../peers/peer_connection.ts";
import { FilePort } from "./file_port.ts";
import type { FileServer } from "./file_server.ts";

export interface DoorOptions {
  /** Without one it is the owner's. */
  readonly guest?: PeerGuest | undefined;
  /** Default: the system's choice. */
  readonly port?: number | undefined;
}

/** Disposing it closes the port and cuts off whatever goes through it. */
export interface Door extends AsyncDisposable {
  readonly guest: PeerGuest | undefined;
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
}

/** Throws when the port cannot be had. */
export function openDoor(
  server: Pick<FileServer, "clock" | "pool" | "date" | "handle" | "handleFile">,
  { guest, port = 0 }: DoorOptions = {},
): Door {
  const open = new FilePort({ server, guest, port });
  return {
    guest,
    port: open.port,
    origin: `http://127.0.0.1:${open.port}`,
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  };
}
