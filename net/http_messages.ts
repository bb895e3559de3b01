/**
 * Requests and answers of HTTP/1.1 as `fetch` has them, made from and into what is on the wire.
 */

import { type RequestHead, valuesOf } from "../protocol/http_head.ts";

/** The host that a request names; undefined if it names none or several, or what would be more than a host in a URL. */
export function hostOf(head: RequestHead): string | undefined {
  const [host, ...others] = valuesOf(head.fields, "host");
  return host !== undefined && others.length === 0 && /^[^\s/?#\\@]+$/.test(host) ? host : undefined;
}

/** Undefined for what no request can be made of. */
export function requestOf(head: RequestHead, body: Uint8Array<ArrayBuffer>, isSecure: boolean): Request | undefined {
  const host = hostOf(head);
  if (host === undefined || !head.target.startsWith("/")) return undefined;
  try {
    const headers = new Headers(head.fields.map(({ name, value }): [string, string] => [name, value]));
    const { method } = head;
    const hasBody = method !== "GET" && method !== "HEAD";
    // As one text: resolved against the host, a target such as `//other/` would be at another one.
    const url = new URL(`${isSecure ? "https" : "http"}://${host}${head.target}`);
    return new Request(url, { method, headers, ...(hasBody && { body }) });
  } catch {
    return undefined; // a method or a header that fetch has no room for
  }
}

export interface AnswerFraming {
  /** Bytes of the body; left out where it is in chunks, or as long as the connection. */
  readonly length?: number;
  readonly isChunked?: boolean;
  /** Whether the connection is for more requests. */
  readonly isKept: boolean;
  /** Where the answer has no `Date` of its own; see `answer_date.ts`. */
  readonly date?: string;
}

/** The head of an answer, with the empty line at its end. */
export function answerHead({ status, statusText, headers }: Response, framing: AnswerFraming): string {
  const { length, isChunked = false, isKept, date } = framing;
  let text = `HTTP/1.1 ${status} ${statusText || "Answer"}\r\n`;
  if (date !== undefined && !headers.has("date")) text += `Date: ${date}\r\n`;
  if (!isKept) text += "Connection: close\r\n";
  if (isChunked) text += "Transfer-Encoding: chunked\r\n";
  else if (length !== undefined) text += `Content-Length: ${length}\r\n`;
  for (const [name, value] of headers) if (name !== "content-length") text += `${name}: ${value}\r\n`;
  return text + "\r\n";
}
