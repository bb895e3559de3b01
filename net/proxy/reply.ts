/** Last words to a client: said, and then waited for, so that they are not lost to a reset. */

import { writeAll } from "../../protocol/stream.ts";
import type { Client } from "./client.ts";
import type { Ingress } from "./ingress.ts";

/** A stranger is listened to no longer than this, in bytes, once there is nothing to say to it. */
const MAX_IGNORED_BYTES = 1024 * 1024;

/**
 * Says `reply`, ends our half, and ignores what the client still sends until it ends its own: closing a socket with
 * unread bytes resets it, which can take the reply along. Bounded by the handshake deadline.
 */
export async function farewell(client: Client, ingress: Ingress, reply: Uint8Array): Promise<void> {
  ingress.handshakes.add(client);
  const { conn, inbox } = client;
  await writeAll(conn, reply);
  await conn.closeWrite();
  inbox.consume(inbox.length);
  for (let ignored = 0; ignored < MAX_IGNORED_BYTES && await inbox.fill();) {
    ignored += inbox.length;
    inbox.consume(inbox.length);
  }
}
