/**
 * A file descriptor that is closed once: `using fd = new Fd(libc, libc.call.socket(…))`.
 */

import { CulvertError } from "../protocol/errors.ts";
import type { Libc } from "./libc.ts";

export class Fd implements Disposable {
  readonly #libc: Libc;
  #number: number;

  /** Takes over a descriptor that a call has just given; throws what the call left in errno when it gave none. */
  constructor(libc: Libc, number: number, action: string, syscall: string) {
    if (number < 0) throw libc.error(action, syscall);
    this.#libc = libc;
    this.#number = number;
  }

  /** The descriptor, for as long as it is open. */
  get number(): number {
    if (this.#number < 0) throw new CulvertError("closed", "Cannot use a file descriptor: it has been closed");
    return this.#number;
  }

  get isOpen(): boolean {
    return this.#number >= 0;
  }

  [Symbol.dispose](): void {
    if (this.#number < 0) return;
    this.#libc.call.close(this.#number);
    this.#number = -1;
  }
}
