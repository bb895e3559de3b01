/**
 * The commands of documents that are not run as they stand, each with its reason and with what else covers it. A row that is
 * about no command, or names a test that is not there, fails `coverage_test.ts`.
 */

export interface NotRun {
  readonly document: string;
  /** How the commands begin. */
  readonly begins: string;
  readonly why: string;
  /** The test that covers what it does, as a file and a part of the test's name. */
  readonly coveredBy: readonly [file: string, name: string];
}

export const notRun: readonly NotRun[] = [
  {
    document: "docs/node-protocol.md",
    begins: "deno run -A tests/conformance/node.ts",
    why: "the program is the reader's own",
    coveredBy: ["tests/conformance/role_test.ts", "our node keeps to the protocol"],
  },
];
