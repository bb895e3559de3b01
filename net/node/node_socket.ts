/**
 * A connection of `node:net` or `node:tls` as a Stream.
 *
 *   read    takes what the socket holds, in pieces as large as the reader's buffer; while nobody reads, the system waits
 *   write   settles when the system has taken the bytes, which may be written over then
 *   close   makes what is pending reject; a second time does nothing
 */

import type { Socket as NetSocket } from "node:net";
import { CulvertError } from "../../protocol/errors.ts";
import type { NetAddr, TcpSocket } from "../runtime_types.ts";

/** The handle had been closed by us. */
export class ClosedHandleError extends CulvertError {
  constructor() {
    super("closed", "Cannot use a socket: it has been closed");
  }
}

export class NodeSocket implements TcpSocket {
  readonly localAddr: NetAddr;
  readonly remoteAddr: NetAddr;
  readonly #socket: NetSocket;
  /** Of what the socket gave, what its reader had no room for. */
  #rest: Uint8Array | undefined;
  #isWatched = false;
  #isEnded = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  /** Takes over a connected socket that nobody has read from. It must allow one half to end without the other. */
  constructor(socket: NetSocket) {
    this.#socket = socket;
    this.localAddr = { transport: "tcp", hostname: socket.localAddress ?? "", port: socket.localPort ?? 0 };
    this.remoteAddr = { transport: "tcp", hostname: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
    socket.on("error", (error) => {
      this.#failure ??= error;
      this.#wake?.();
    });
  }

  /** The socket beneath, for what is done to it before anybody has read. */
  get socket(): NetSocket {
    return this.#socket;
  }

  async read(into: Uint8Array): Promise<number | null> {
    this.#watch();
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const chunk: Uint8Array | null = this.#rest ?? this.#socket.read();
      if (chunk) return this.#give(chunk, into);
      if (this.#isEnded) return null;
      if (this.#socket.destroyed) throw new ClosedHandleError();
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
  }

  write(from: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.write(from, (error) => {
        // A socket that was destroyed meanwhile calls back for what it has thrown away too, and without an error.
        const failure = this.#failure ?? error ?? (this.#socket.destroyed ? new ClosedHandleError() : undefined);
        if (failure === undefined) resolve(from.length);
        else reject(failure);
      });
    });
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(this.#failure ?? new ClosedHandleError());
      if (this.#socket.writableFinished) return resolve();
      this.#socket.end((error?: Error | null) => error ? reject(this.#failure ?? error) : resolve());
    });
  }

  setNoDelay(isOn = true): void {
    this.#socket.setNoDelay(isOn);
  }

  setKeepAlive(isOn = true): void {
    this.#socket.setKeepAlive(isOn);
  }

  close(): void {
    this.#failure ??= new ClosedHandleError();
    this.#rest = undefined;
    this.#socket.destroy();
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #give(chunk: Uint8Array, into: Uint8Array): number {
    const count = Math.min(chunk.length, into.length);
    into.set(count === chunk.length ? chunk : chunk.subarray(0, count));
    this.#rest = count === chunk.length ? undefined : chunk.subarray(count);
    return count;
  }

  /** From the first read on: before, TLS may still take the socket over. */
  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    const wake = () => this.#wake?.();
    this.#socket.on("readable", wake).on("close", wake).on("end", () => {
      this.#isEnded = true;
      wake();
    });
  }
}
