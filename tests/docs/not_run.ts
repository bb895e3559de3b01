/**
 * The commands of documents that are not run as they stand, each with its reason and with what else covers it. A row that is
 * about no command, or names a test that is not there, fails `coverage_test.ts`.
 */

export interface NotRun {
  readonly document: string;
  /** How the commands begin; with `$` at its end it is all of them. */
  readonly begins: string;
  readonly why: string;
  /** The test that covers what it does, as a file and a part of the test's name. */
  readonly coveredBy: readonly [file: string, name: string];
}

export const notRun: readonly NotRun[] = [
  {
    document: "docs/library.md",
    begins: "deno task pack",
    why: "it takes as long as a dozen other commands, and asks the npm registry",
    coveredBy: ["tests/npm/package_test.ts", "the npm package has what it exports"],
  },
  {
    document: "docs/operations.md",
    begins: "culvert manager install$",
    why: "it asks for all it has to know, and starts what lasts",
    coveredBy: ["tests/manager/install_test.ts", "a service is installed as a unit"],
  },
  {
    document: "docs/billing.md",
    begins: 'curl "https://api.telegram.org',
    why: "it speaks to Telegram, of a bot of the reader's",
    coveredBy: ["edge/orchestrator/payments_test.ts", "Stars arrive in the account"],
  },
  {
    document: "docs/simulation.md",
    begins: "deno task sim",
    why: "it takes from a minute to two hours",
    coveredBy: ["tests/sim/simulation_test.ts", "the same seed is the same simulation"],
  },
  {
    document: "docs/node-protocol.md",
    begins: "deno run -A tests/conformance/node.ts",
    why: "the program is the reader's own",
    coveredBy: ["tests/conformance/role_test.ts", "our node keeps to the protocol"],
  },
];
