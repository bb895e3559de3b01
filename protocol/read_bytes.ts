/**
 * Reads a stream of bytes whole, up to a bound: the body of a request or of an answer. One that is longer is cancelled,
 * and the rest of it is not read.
 */

/** The bytes; undefined if there are more than `maxBytes`. Rejects as the stream does. */
export async function readBytes(
  stream: ReadableStream<Uint8Array> | null,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!stream) return new Uint8Array();
  // Not `for await`: the reader is dropped with the stream, and giving it back costs more than the reading.
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > maxBytes) {
      await reader.cancel();
      return undefined;
    }
    parts.push(read.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
