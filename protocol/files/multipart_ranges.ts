/**
 * Several ranges of one content as the body of an answer: `multipart/byteranges`, RFC 9110 §14.6.
 *
 *   --boundary ⏎ Content-Type ⏎ Content-Range ⏎ ⏎ bytes ⏎ --boundary … ⏎ --boundary-- ⏎
 */

import { type ByteRange, contentRange } from "./byte_ranges.ts";

export interface MultipartRanges {
  /** Heads of parts, and the parts themselves, as they follow each other. */
  readonly parts: readonly (ByteRange | Uint8Array<ArrayBuffer>)[];
  readonly contentType: string;
  readonly length: number;
}

export interface RangedContent {
  readonly size: number;
  readonly type: string;
  /** What nobody who made the content could have put into it: from chance. */
  readonly boundary: string;
}

export function multipartRanges(ranges: readonly ByteRange[], content: RangedContent): MultipartRanges {
  const { size, type, boundary } = content;
  const encoder = new TextEncoder();
  const parts: (ByteRange | Uint8Array<ArrayBuffer>)[] = ranges.flatMap((range, index) => [
    encoder.encode(
      `${index === 0 ? "" : "\r\n"}--${boundary}\r\nContent-Type: ${type}\r\n` +
        `Content-Range: ${contentRange(range, size)}\r\n\r\n`,
    ),
    range,
  ]);
  parts.push(encoder.encode(`\r\n--${boundary}--\r\n`));
  const length = parts.reduce(
    (sum, part) => sum + (part instanceof Uint8Array ? part.length : part.end - part.start),
    0,
  );
  return { parts, contentType: `multipart/byteranges; boundary=${boundary}`, length };
}
