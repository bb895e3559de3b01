/**
 * A link whose bytes are compressed on the way, as kcptun does between its mux and KCP unless told not to.
 *
 *   mux ⇄ SnappyLink (text) ⇄ link (chunks)
 *
 * A stream that is no Snappy ends it. What one call brings is all decompressed at once, also when the mux wants no more
 * in the middle of it: at most 21 times as much.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { SnappyReader, type SnappyScratch, SnappyWriter } from "../../protocol/packet_layer/snappy_frames.ts";
import type { Link, LinkHandlers } from "../link.ts";

export class SnappyLink implements Link {
  readonly #link: Link;
  readonly #scratch: SnappyScratch;
  #writer: SnappyWriter | undefined;

  /** Takes over the link, which has not been started. */
  constructor(link: Link, scratch: SnappyScratch) {
    this.#link = link;
    this.#scratch = scratch;
  }

  get idle(): boolean {
    return this.#link.idle && !this.#writer?.isHolding;
  }

  start(handlers: LinkHandlers): void {
    const writer = this.#writer = new SnappyWriter(this.#scratch, handlers);
    const reader = new SnappyReader(this.#scratch, (text) => handlers.onBytes(text));
    this.#link.start({
      onBytes: (bytes) => {
        if (!reader.fault && !reader.receive(bytes)) this.#link.close();
      },
      fill: (into) => writer.fill(into),
      wantsBytes: () => handlers.wantsBytes(),
      onClose: (error) => handlers.onClose(reader.fault ? notSnappy(reader.fault) : error),
    });
  }

  wake(): void {
    this.#link.wake();
  }

  resume(): void {
    this.#link.resume();
  }

  close(): void {
    this.#link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function notSnappy(fault: string): CulvertError {
  return new CulvertError(
    "bad_stream",
    `Cannot decompress the stream: it must be framed Snappy, got ${fault}; does one end compress and the other not?`,
  );
}
