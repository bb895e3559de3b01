/**
 * Where the machine's own datagrams go: handshakes, keepalives, packets that waited for a session.
 */

import type { Slab } from "../slab.ts";
import type { Endpoint } from "./settings.ts";

export interface Outlet {
  /** Sends one datagram now; its bytes are overwritten after the call. False when it did not go. */
  send(packet: Slab, offset: number, length: number, to: Endpoint): boolean;
}
