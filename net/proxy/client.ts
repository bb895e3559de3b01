/**
 * One program connected to the proxy port: its socket, what it has said, and what is open on its behalf. Closing it
 * closes all of that, whatever it is in the middle of.
 */

import type { Path, Target } from "../../protocol/stream.ts";
import type { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { Inbox } from "./inbox.ts";
import type { TcpSocket } from "../runtime.ts";

export type Dialect = "socks5" | "socks4" | "http" | "forward";

export class Client {
  readonly conn: TcpSocket;
  readonly inbox: Inbox;
  /** Where the program connects from. */
  readonly from: Target;
  dialect: Dialect | "unknown" = "unknown";
  /** There was no room for it: it may ask, and is told so. */
  turnedAway = false;
  /** What goes through a Path of its own, and not the proxy's. */
  path: Path | undefined;
  #held: { close(): void } | undefined;
  #closed = false;

  constructor(conn: TcpSocket, pool: BufferPool, maxHeadBytes: number) {
    this.conn = conn;
    this.inbox = new Inbox(conn, pool, maxHeadBytes);
    this.from = { host: conn.remoteAddr.hostname, port: conn.remoteAddr.port };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Makes `handle` close with the client, instead of what was held before. Closed at once if the client is. */
  hold(handle: { close(): void } | undefined): void {
    this.#held = handle;
    if (this.#closed && handle) closeQuietly(handle);
  }

  /** Someone else has closed the socket and what was held: closing either again would cost an exception. */
  closedElsewhere(): void {
    this.#closed = true;
    this.#held = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.conn);
    if (this.#held) closeQuietly(this.#held);
    this.#held = undefined;
  }
}
