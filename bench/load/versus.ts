/**
 * Two bulk downloads through one proxy that take turns, each for a moment while the other is not read: what else the machine
 * does hits both alike, so that a difference of a few hundredths between them can be seen.
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import { type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { median } from "../rounds.ts";
import { BULK } from "./source.ts";

export interface VersusOptions {
  readonly proxy: Target;
  readonly target: Target;
  /** `user:password` of the one and the other. */
  readonly logins: readonly [string, string];
  readonly turns: number;
  readonly turnMs: number;
}

const BUFFER_BYTES = 256 * 1024;
/** Turns that are not counted: windows open and code is compiled. */
const WARM_TURNS = 4;

/** How fast the one was in terms of the other: the median of all turns, each against the one right after it. */
export async function runVersus({ proxy, target, logins, turns, turnMs }: VersusOptions): Promise<number> {
  const clock = clockOf(globalThis);
  const readers = await Promise.all(logins.map(async (login) => {
    const connection = await dialSocks5(proxy, target, login);
    await writeAll(connection, Uint8Array.of(BULK));
    return new Reader(connection);
  }));
  const [one, other] = readers as [Reader, Reader];
  const ratios: number[] = [];
  for (let turn = 0; turn < WARM_TURNS + turns; turn++) {
    // Nobody is always first.
    const [first, second] = turn % 2 === 0 ? [one, other] : [other, one];
    const bytes = new Map<Reader, number>();
    for (const reader of [first, second]) {
      const startMs = clock.now();
      reader.resume();
      await delay(clock, turnMs);
      bytes.set(reader, await reader.pause() / (clock.now() - startMs));
    }
    if (turn >= WARM_TURNS) ratios.push(bytes.get(one)! / bytes.get(other)!);
  }
  for (const reader of readers) reader.close();
  return median(ratios);
}

class Reader {
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #bytes = 0;
  #isPaused = true;
  #reading = Promise.resolve();

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  resume(): void {
    this.#isPaused = false;
    this.#reading = this.#read();
  }

  /** Gives the bytes since it was resumed. */
  async pause(): Promise<number> {
    this.#isPaused = true;
    await this.#reading;
    const bytes = this.#bytes;
    this.#bytes = 0;
    return bytes;
  }

  close(): void {
    this.#connection.close();
  }

  async #read(): Promise<void> {
    while (!this.#isPaused) {
      const count = await this.#connection.read(this.#buffer);
      if (count === null) throw new Error("Cannot measure: the stream has ended");
      this.#bytes += count;
    }
  }
}
