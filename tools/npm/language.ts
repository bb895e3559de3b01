/**
 * What Node 20 lacks of the language that the library is written in, set where it is missing and as the specification has
 * it: the first module that the npm package loads. A host that has it all is left as it is. What is set is there for every
 * package of the process, which may look for it, so nothing is set that does but a part of what the specification says.
 */

import { AsyncStack, SyncStack } from "./disposable_stacks.ts";
import { everyOf, groupBy, parseUrl, toBase64, toHex, tryIt, withResolvers } from "./missing.ts";

interface Addition {
  readonly on: object;
  readonly name: string | symbol;
  readonly value: unknown;
}

const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object;

const additions: readonly Addition[] = [
  { on: Symbol, name: "dispose", value: Symbol.for("nodejs.dispose") },
  { on: Symbol, name: "asyncDispose", value: Symbol.for("nodejs.asyncDispose") },
  { on: globalThis, name: "DisposableStack", value: SyncStack },
  { on: globalThis, name: "AsyncDisposableStack", value: AsyncStack },
  { on: Promise, name: "withResolvers", value: withResolvers },
  { on: Promise, name: "try", value: tryIt },
  { on: Map, name: "groupBy", value: groupBy },
  { on: URL, name: "parse", value: parseUrl },
  { on: Uint8Array.prototype, name: "toBase64", value: toBase64 },
  { on: Uint8Array.prototype, name: "toHex", value: toHex },
  { on: iteratorPrototype, name: "every", value: everyOf },
];

for (const { on, name, value } of additions) {
  if (!(name in on)) Object.defineProperty(on, name, { value, configurable: true, writable: true });
}
