/**
 * Leads the streams of guests to doors of the file server: each guest has its own, which knows what it may see, for as long
 * as one of its connections is there.
 *
 *   guest's stream ─▶ its door, 127.0.0.1:port ─▶ file server
 */

import type { Clock } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { splice } from "../splice.ts";
import type { PeerGuest } from "./peer_connection.ts";

/** Where the file server answers one guest, on 127.0.0.1. */
export interface GuestDoor extends AsyncDisposable {
  readonly port: number;
}

export interface GuestDoorsOptions {
  open(guest: PeerGuest): GuestDoor | Promise<GuestDoor>;
  readonly clock: Clock;
  readonly log: Log;
}

interface HeldDoor {
  readonly door: Promise<GuestDoor>;
  guests: number;
}

/** A conversation that one side has ended, and in which nothing moves. */
const HALF_CLOSED_MS = 300_000;
const UNAVAILABLE = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** Its three methods are what a `PeerHost` calls. */
export class GuestDoors implements AsyncDisposable {
  readonly #options: GuestDoorsOptions;
  readonly #doors = new Map<string, HeldDoor>();
  readonly #pool = new BufferPool();
  readonly #tasks = new Set<Promise<void>>();

  constructor(options: GuestDoorsOptions) {
    this.#options = options;
  }

  readonly onGuest = (guest: PeerGuest): void => {
    const key = keyOf(guest);
    const held = this.#doors.get(key);
    if (held) return void held.guests++;
    const door = Promise.try(() => this.#options.open(guest));
    door.catch((error) => this.#options.log.warn("A guest has no door", { error: messageOf(error) }));
    this.#doors.set(key, { door, guests: 1 });
  };

  readonly onLeave = (guest: PeerGuest): void => {
    const key = keyOf(guest);
    const held = this.#doors.get(key);
    if (!held || --held.guests > 0) return;
    this.#doors.delete(key);
    this.#spawn(closeDoor(held.door));
  };

  readonly onStream = (stream: Stream, guest: PeerGuest): void => {
    this.#spawn(this.#lead(stream, this.#doors.get(keyOf(guest))?.door));
  };

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { door } of this.#doors.values()) this.#spawn(closeDoor(door));
    this.#doors.clear();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #lead(stream: Stream, door: Promise<GuestDoor> | undefined): Promise<void> {
    try {
      if (!door) return closeQuietly(stream);
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: (await door).port });
      conn.setNoDelay(true);
      const { clock } = this.#options;
      await splice(stream, conn, { pool: this.#pool, halfClosed: { idleTimeoutMs: HALF_CLOSED_MS, clock } });
    } catch (error) {
      this.#options.log.warn("A guest cannot be led to the file server", { error: messageOf(error) });
      await writeAll(stream, new TextEncoder().encode(UNAVAILABLE)).catch(() => {}); // it has gone
      closeQuietly(stream);
    }
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

function keyOf({ peerId, scope, mayUpload }: PeerGuest): string {
  return `${peerId} ${mayUpload} ${scope}`;
}

async function closeDoor(door: Promise<GuestDoor>): Promise<void> {
  try {
    await (await door)[Symbol.asyncDispose]();
  } catch {
    // It had not opened.
  }
}
