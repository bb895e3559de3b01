/**
 * A Stream as a Duplex of Node, for libraries that want a socket: TLS by `node:tls`, HTTP by undici. It carries bytes and
 * both ends of it, and destroys what it is made of; what sockets have besides (timeouts, addresses) it has not.
 */

import { Duplex } from "node:stream";
import { type Stream, writeAll } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";

const READ_BYTES = 64 * 1024;

export class StreamDuplex extends Duplex {
  readonly #stream: Stream;

  constructor(stream: Stream) {
    super({ highWaterMark: READ_BYTES });
    this.#stream = stream;
  }

  override _read(): void {
    const into = new Uint8Array(READ_BYTES);
    this.#stream.read(into).then(
      (count) => void this.push(count === null ? null : into.subarray(0, count)),
      (error) => void this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    writeAll(this.#stream, chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    closeQuietly(this.#stream);
    done(error);
  }
}
