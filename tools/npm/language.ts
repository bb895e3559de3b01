/**
 * What Node 20 lacks of the language that the library is written in, set where it is missing and as the specification has
 * it: the first module that the npm package loads. A host that has it all is left as it is.
 */

import { Buffer } from "node:buffer";

interface Addition {
  readonly on: object;
  readonly name: string | symbol;
  readonly value: unknown;
}

const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object;

const additions: readonly Addition[] = [
  { on: Symbol, name: "dispose", value: Symbol.for("nodejs.dispose") },
  { on: Symbol, name: "asyncDispose", value: Symbol.for("nodejs.asyncDispose") },
  { on: Promise, name: "withResolvers", value: withResolvers },
  { on: Promise, name: "try", value: tryIt },
  { on: Map, name: "groupBy", value: groupBy },
  { on: URL, name: "parse", value: parseUrl },
  { on: Uint8Array, name: "fromBase64", value: fromBase64 },
  { on: Uint8Array.prototype, name: "toBase64", value: toBase64 },
  { on: Uint8Array.prototype, name: "toHex", value: toHex },
  { on: iteratorPrototype, name: "every", value: everyOf },
];

for (const { on, name, value } of additions) {
  if (!(name in on)) Object.defineProperty(on, name, { value, configurable: true, writable: true });
}

function withResolvers<T>(this: PromiseConstructor): PromiseWithResolvers<T> {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason?: unknown) => void;
  const promise = new this<T>((onValue, onReason) => {
    resolve = onValue;
    reject = onReason;
  });
  return { promise, resolve, reject };
}

function tryIt<T, A extends unknown[]>(
  this: PromiseConstructor,
  call: (...args: A) => T,
  ...args: A
): Promise<unknown> {
  return new this((resolve) => resolve(call(...args)));
}

function groupBy<K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> {
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

function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

/** Strict, as it is always asked for here: nothing but the alphabet, padded, with no bits left over. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) throw new SyntaxError("The text is not base64");
  return new Uint8Array(bytes);
}

function toBase64(this: Uint8Array): string {
  return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString("base64");
}

function toHex(this: Uint8Array): string {
  return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString("hex");
}

function everyOf<T>(this: Iterator<T>, isSo: (item: T, index: number) => boolean): boolean {
  let index = 0;
  for (let next = this.next(); !next.done; next = this.next()) {
    if (isSo(next.value, index++)) continue;
    this.return?.();
    return false;
  }
  return true;
}
