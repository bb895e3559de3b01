/**
 * How a contract registers its cases as tests: with Deno's runner. In the npm package `node_runner.ts` stands in its place.
 */

/** A case of a contract. */
export interface ContractTest {
  /** What holds. */
  readonly name: string;
  /** Shown and not run. */
  readonly ignore?: boolean;
  /** Rejects when it does not hold. */
  fn(): Promise<void>;
}

export function registerTest(test: ContractTest): void {
  Deno.test(test);
}
