/**
 * Reads a request's body as long as it is short enough. A length that is announced is believed only when it is too
 * long; what is announced as short is still counted.
 */

import { readBytes } from "../protocol/read_bytes.ts";

/** The body; undefined if it is longer than `maxBytes`, and then the rest of it is not read. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return undefined;
  return await readBytes(request.body, maxBytes);
}
