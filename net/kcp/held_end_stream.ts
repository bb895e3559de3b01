/**
 * A stream whose far end takes the end of one direction for the end of both, as kcptun does: `closeWrite` says nothing,
 * `close` says it. So the far side never learns that nothing more will come, but what it still has to say arrives.
 */

import type { Stream } from "../../protocol/stream.ts";

export class HeldEndStream implements Stream {
  readonly #stream: Stream;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#stream.read(into);
  }

  write(from: Uint8Array): Promise<number> {
    return this.#stream.write(from);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#stream.close();
  }

  abort(): void {
    if (this.#stream.abort) this.#stream.abort();
    else this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
