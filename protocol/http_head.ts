/**
 * The head of an HTTP/1.x message, RFC 9112 §2 to §5: start line, fields, blank line.
 *
 * Strict, because a proxy that reads a message otherwise than the next server does can be made to smuggle one: lines end
 * in CRLF and in nothing else, no folded fields, no space before the colon, no control character in a value, HTTP/1.0
 * and 1.1 only. Bytes above 0x7f in values pass through unchanged. One empty line before a request is skipped (§2.2).
 */

import { bad, done, MORE, type Parsed } from "./parse.ts";

/** A field line, or a line of trailers. */
export interface Field {
  /** As it was spelled. Compare with `isNamed`. */
  readonly name: string;
  /** Without the space around it. */
  readonly value: string;
}

/** What comes before the body of a request. */
export interface RequestHead {
  /** As sent: methods are told apart by case. */
  readonly method: string;
  /** As sent: origin, absolute, authority or asterisk form. */
  readonly target: string;
  /** 0 or 1: the digit after "HTTP/1.". */
  readonly minor: number;
  /** In their order. */
  readonly fields: readonly Field[];
}

/** What comes before the body of a response. */
export interface ResponseHead {
  /** Three digits. */
  readonly status: number;
  /** What people may read of it; often empty. */
  readonly reason: string;
  /** 0 or 1: the digit after "HTTP/1.". */
  readonly minor: number;
  /** In their order. */
  readonly fields: readonly Field[];
}

/** More fields than any honest message has. */
const MAX_FIELDS = 256;

const LF = 10;
const CR = 13;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/1\.([01])$/;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** `scannedBytes` of the start were seen before without an end: they are not searched again. */
export function parseRequestHead(bytes: Uint8Array, scannedBytes = 0): Parsed<RequestHead> {
  const start = bytes[0] === CR && (bytes.length < 2 || bytes[1] === LF) ? 2 : 0;
  const parsed = parseLines(bytes, start, scannedBytes);
  if (parsed.status !== "done") return parsed;
  const match = REQUEST_LINE.exec(parsed.value.startLine);
  if (!match) return bad("malformed request line");
  const head = { method: match[1]!, target: match[2]!, minor: Number(match[3]), fields: parsed.value.fields };
  return done(head, parsed.length);
}

export function parseResponseHead(bytes: Uint8Array, scannedBytes = 0): Parsed<ResponseHead> {
  const parsed = parseLines(bytes, 0, scannedBytes);
  if (parsed.status !== "done") return parsed;
  const match = STATUS_LINE.exec(parsed.value.startLine);
  if (!match) return bad("malformed status line");
  const head = {
    status: Number(match[2]),
    reason: match[3] ?? "",
    minor: Number(match[1]),
    fields: parsed.value.fields,
  };
  return done(head, parsed.length);
}

export function encodeRequestHead(head: Omit<RequestHead, "minor">): Uint8Array<ArrayBuffer> {
  return encodeLines(`${head.method} ${head.target} HTTP/1.1`, head.fields);
}

export function encodeResponseHead(head: Omit<ResponseHead, "minor">): Uint8Array<ArrayBuffer> {
  return encodeLines(`HTTP/1.1 ${head.status} ${head.reason}`, head.fields);
}

/** Field lines, each ended by CRLF, as in a head or a trailer section; undefined when one is malformed. */
export function parseFieldLines(text: string): Field[] | undefined {
  const fields: Field[] = [];
  if (text === "") return fields;
  if (!text.endsWith("\r\n")) return undefined;
  for (const line of text.slice(0, -2).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon < 1 || fields.length === MAX_FIELDS) return undefined;
    const field = { name: line.slice(0, colon), value: trimBlanks(line, colon + 1) };
    if (!isField(field)) return undefined;
    fields.push(field);
  }
  return fields;
}

/** Each field on a line of its own, without the blank line that ends a section. */
export function encodeFieldLines(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  return bytesOf(textOf(fields));
}

/** Whether name and value may stand in a message as they are. */
export function isField(field: Field): boolean {
  return TOKEN.test(field.name) && VALUE.test(field.value);
}

/** Compares names as HTTP does, without regard to case; `lowerCaseName` is already in lower case. */
export function isNamed(field: Field, lowerCaseName: string): boolean {
  return field.name.length === lowerCaseName.length && field.name.toLowerCase() === lowerCaseName;
}

export function valuesOf(fields: readonly Field[], lowerCaseName: string): string[] {
  return fields.filter((field) => isNamed(field, lowerCaseName)).map((field) => field.value);
}

/** The members of a comma-separated field, in lower case, over all the lines it is spread on. */
export function tokensOf(fields: readonly Field[], lowerCaseName: string): string[] {
  return valuesOf(fields, lowerCaseName).flatMap((value) => value.toLowerCase().split(","))
    .map((token) => trimBlanks(token, 0)).filter((token) => token !== "");
}

/** One character per byte, as HTTP fields were always read. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096) as unknown as number[]);
  }
  return text;
}

function parseLines(
  bytes: Uint8Array,
  start: number,
  scannedBytes: number,
): Parsed<{ readonly startLine: string; readonly fields: Field[] }> {
  const end = findEnd(bytes, start, scannedBytes);
  if (end === undefined) return bad("line not ended by CRLF");
  if (end === 0) return MORE;
  const text = latin1(bytes.subarray(start, end - 2));
  const lineEnd = text.indexOf("\r\n");
  const fields = parseFieldLines(text.slice(lineEnd + 2));
  return fields ? done({ startLine: text.slice(0, lineEnd), fields }, end) : bad("malformed header field");
}

/** Where the blank line ends; 0 when it has not come yet; undefined when some line ends in a bare LF. */
function findEnd(bytes: Uint8Array, start: number, scannedBytes: number): number | undefined {
  // Three bytes back: the CRLF CR of an unfinished blank line may have been seen already.
  const from = Math.max(start, scannedBytes - 3);
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (at === start || bytes[at - 1] !== CR) return undefined;
    if (at >= start + 3 && bytes[at - 2] === LF) return at + 1;
  }
  return 0;
}

function trimBlanks(text: string, start: number): string {
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function textOf(fields: readonly Field[]): string {
  let text = "";
  for (const field of fields) text += `${field.name}: ${field.value}\r\n`;
  return text;
}

function encodeLines(startLine: string, fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  return bytesOf(`${startLine}\r\n${textOf(fields)}\r\n`);
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
