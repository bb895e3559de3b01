/**
 * Request mode: the far end of a tunnel makes an HTTP request and sends back what it is answered. On a tunnel's stream,
 * after the reply to a request of kind 3:
 *
 *   there   length u32 BE | RequestHead in JSON[length] | body, until this half ends
 *   back    length u32 BE | ResponseHead in JSON[length] | body, until this half ends
 *
 * A stream that is cut has cut the body: only one that has ended is whole. The answer may come before the body has gone.
 * Unlike a stream to the origin, the far end sees the request and the answer as they are, of https: too.
 */

import { z } from "zod";
import type { Field } from "./http_head.ts";
import { bad, done, MORE, type Parsed } from "./parse.ts";
import { DIAL_FAILURES } from "./tunnel.ts";

/** Of either head. */
export const MAX_REQUEST_HEAD_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

/** RFC 9110 §5.6.2, §5.5: what can stand in a field without changing the message around it. */
const fieldName = z.string().max(256).regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/);
const fieldValue = z.string().max(32 * 1024).regex(/^[\t\x20-\x7e\x80-\xff]*$/);
const headersSchema = z.array(z.tuple([fieldName, fieldValue])).max(256);

export const requestHeadSchema = z.object({
  method: z.string().max(32).regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/),
  /** http: or https:, without user or password. */
  url: z.string().max(16 * 1024),
  headers: headersSchema,
  /** What to do when the answer leads elsewhere, as in fetch. */
  redirect: z.enum(["follow", "manual", "error"]).default("follow"),
  /** Nothing follows. A half that ends at once is an empty body. */
  hasBody: z.boolean(),
});
export type RequestModeHead = z.infer<typeof requestHeadSchema>;

/** Why there is no answer: that of a failed dial, or what else is wrong. */
export const REQUEST_FAILURES = [...DIAL_FAILURES, "bad_request", "redirect"] as const;
export type RequestFailure = typeof REQUEST_FAILURES[number];

export const responseHeadSchema = z.union([
  z.object({
    status: z.int().min(200).max(599),
    statusText: z.string().max(512),
    headers: headersSchema,
    /** Where it came from in the end. */
    url: z.string().max(16 * 1024),
    isRedirected: z.boolean(),
  }),
  z.object({ failure: z.enum(REQUEST_FAILURES), message: z.string().max(1024) }),
]);
export type ResponseModeHead = z.infer<typeof responseHeadSchema>;

/** Undefined when it is longer than a head may be. */
export function encodeRequestModeHead(head: RequestModeHead | ResponseModeHead): Uint8Array<ArrayBuffer> | undefined {
  const text = new TextEncoder().encode(JSON.stringify(head));
  if (text.length > MAX_REQUEST_HEAD_BYTES) return undefined;
  const bytes = new Uint8Array(LENGTH_BYTES + text.length);
  new DataView(bytes.buffer).setUint32(0, text.length);
  bytes.set(text, LENGTH_BYTES);
  return bytes;
}

export function parseRequestHead(bytes: Uint8Array): Parsed<RequestModeHead> {
  return parseHead(bytes, requestHeadSchema);
}

export function parseResponseHead(bytes: Uint8Array): Parsed<ResponseModeHead> {
  return parseHead(bytes, responseHeadSchema);
}

/** How long the whole head is, by its first four bytes. */
export function requestHeadBytes(start: Uint8Array): number {
  return LENGTH_BYTES + new DataView(start.buffer, start.byteOffset).getUint32(0);
}

function parseHead<T>(bytes: Uint8Array, schema: z.ZodType<T>): Parsed<T> {
  if (bytes.length < LENGTH_BYTES) return MORE;
  const length = requestHeadBytes(bytes);
  if (length > LENGTH_BYTES + MAX_REQUEST_HEAD_BYTES) return bad("too long");
  if (bytes.length < length) return MORE;
  const parsed = schema.safeParse(parseJson(bytes.subarray(LENGTH_BYTES, length)));
  return parsed.success ? done(parsed.data, length) : bad("malformed head");
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** The fields of a head as the rest of the house has them. */
export function fieldsOf(headers: readonly (readonly [string, string])[]): Field[] {
  return headers.map(([name, value]) => ({ name, value }));
}
