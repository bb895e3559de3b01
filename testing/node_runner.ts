/**
 * How a contract registers its cases with Node's runner: stands in the place of `runner.ts` in the npm package.
 */

import { test as registerWithNode } from "node:test";

/** A case of a contract. */
export interface ContractTest {
  /** What holds. */
  readonly name: string;
  /** Shown and not run. */
  readonly ignore?: boolean;
  /** Rejects when it does not hold. */
  fn(): Promise<void>;
}

export function registerTest({ name, ignore = false, fn }: ContractTest): void {
  registerWithNode(name, { skip: ignore }, fn);
}
