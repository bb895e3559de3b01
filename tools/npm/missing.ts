/**
 * What Node 20 lacks of the language, as functions that do what the specification says, as far as the library asks for it.
 */

import { Buffer } from "node:buffer";

export function withResolvers<T>(this: PromiseConstructor): PromiseWithResolvers<T> {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason?: unknown) => void;
  const promise = new this<T>((onValue, onReason) => {
    resolve = onValue;
    reject = onReason;
  });
  return { promise, resolve, reject };
}

export function tryIt<T, A extends unknown[]>(
  this: PromiseConstructor,
  call: (...args: A) => T,
  ...args: A
): Promise<unknown> {
  return new this((resolve) => resolve(call(...args)));
}

export function groupBy<K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

export function toBase64(
  this: Uint8Array,
  { alphabet = "base64", omitPadding = false }: { alphabet?: "base64" | "base64url"; omitPadding?: boolean } = {},
): string {
  if (alphabet !== "base64" && alphabet !== "base64url") throw new TypeError("The alphabet is neither of the two");
  const text = Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString(alphabet); // base64url is unpadded
  if (alphabet === "base64") return omitPadding ? text.replace(/=+$/, "") : text;
  return omitPadding ? text : text + "=".repeat(-text.length & 3);
}

export function toHex(this: Uint8Array): string {
  return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString("hex");
}

export function everyOf<T>(this: Iterator<T>, isSo: (item: T, index: number) => boolean): boolean {
  let index = 0;
  for (let next = this.next(); !next.done; next = this.next()) {
    if (isSo(next.value, index++)) continue;
    this.return?.();
    return false;
  }
  return true;
}
