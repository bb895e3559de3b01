/**
 * An answer whose body is a file that whoever has asked sends by itself, straight to a socket: a Response as far as its head goes.
 */

import type { FileBody } from "./file_body.ts";

export class FileAnswer extends Response {
  /** To be sent, or failed. */
  readonly file: FileBody;

  constructor(file: FileBody, init: ResponseInit) {
    super(null, init);
    this.file = file;
  }
}
