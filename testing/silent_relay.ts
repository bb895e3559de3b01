/**
 * A TCP relay on real sockets that can fall silent: nothing is forwarded any more in either direction, and nothing is
 * closed, as when a machine has lost its power or a firewall has forgotten a connection. Both ends have to find out by
 * themselves. New connections are taken, and are as silent.
 *
 *   client ⇄ relay ⇄ target
 */

import type { Target } from "../protocol/stream.ts";
import { writeAll } from "../protocol/stream.ts";

export class SilentRelay implements AsyncDisposable {
  /** Where to connect instead of the target. */
  readonly address: Target;
  readonly #listener: Deno.TcpListener;
  readonly #to: Target;
  readonly #held = new Set<Disposable>();
  readonly #tasks = new Set<Promise<void>>();
  #isSilent = false;
  /** Only connections that begin with this fall silent. */
  #opening = "";

  private constructor(listener: Deno.TcpListener, to: Target) {
    const { hostname, port } = listener.addr as Deno.NetAddr;
    this.address = { host: hostname, port };
    this.#listener = listener;
    this.#to = to;
    this.#spawn(this.#serve());
  }

  /** Starts a relay on a free port of 127.0.0.1. */
  static start(to: Target): SilentRelay {
    return new SilentRelay(Deno.listen({ hostname: "127.0.0.1", port: 0 }), to);
  }

  /**
   * What comes from now on is swallowed; ends of connections too. With an `opening`, such as "GET /relay", only where that
   * is what the client has said first.
   */
  fallSilent(opening = ""): void {
    this.#isSilent = true;
    this.#opening = opening;
  }

  /** New connections are carried again. Those that have been silent stay so. */
  speakAgain(): void {
    this.#isSilent = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener[Symbol.dispose]();
    for (const held of this.#held) held[Symbol.dispose]();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #serve(): Promise<void> {
    for await (const near of this.#listener) this.#spawn(this.#relay(near));
  }

  async #relay(near: Deno.TcpConn): Promise<void> {
    this.#held.add(near);
    if (this.#isSilent && this.#opening === "") return await this.#swallow(near);
    const far = await Deno.connect({ hostname: this.#to.host, port: this.#to.port }).catch(() => undefined);
    if (!far) return this.#drop(near);
    this.#held.add(far);
    const line = { isCut: false, opening: "" };
    await Promise.all([this.#carry(near, far, line), this.#carry(far, near, line)]);
    this.#drop(near);
    this.#drop(far);
  }

  /** Until the sender ends, or either side fails; for good once the line has been silent. */
  async #carry(from: Deno.TcpConn, to: Deno.TcpConn, line: { isCut: boolean; opening: string }): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const count = await from.read(buffer);
        line.opening ||= new TextDecoder().decode(buffer.subarray(0, Math.min(count ?? 0, 256)));
        line.isCut ||= this.#isSilent && line.opening.startsWith(this.#opening);
        if (line.isCut) return await this.#swallow(from);
        if (count === null) return await to.closeWrite();
        await writeAll(to, buffer.subarray(0, count));
      }
    } catch {
      if (line.isCut) return;
      this.#drop(from);
      this.#drop(to);
    }
  }

  /** Reads on, so that the sender notices nothing. */
  async #swallow(from: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      while (await from.read(buffer) !== null);
    } catch {
      // It was cut.
    }
  }

  #drop(conn: Deno.TcpConn): void {
    if (this.#held.delete(conn)) conn[Symbol.dispose]();
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}
