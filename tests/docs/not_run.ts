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
    document: "docs/executables.md",
    begins: "deno task bundle",
    why: "it takes a while, and another test runs what it makes",
    coveredBy: ["tools/bundle_test.ts", "executables run where there is neither Deno nor Node nor a network"],
  },
  {
    document: "docs/executables.md",
    begins: "deno task compile exit",
    why: "it fetches another platform's runtime",
    coveredBy: ["tools/compile_command_test.ts", "an executable of one role is compiled with its permissions"],
  },
  {
    document: "docs/deployments.md",
    begins: "culvert up --plan examples/personal.toml",
    why: "another test runs it, and loses machines of it",
    coveredBy: ["tests/fragments/deployments_test.ts", 'deploy("personal.toml"'],
  },
  {
    document: "docs/deployments.md",
    begins: "culvert up --plan examples/anonymity.toml",
    why: "another test runs it, and loses machines of it",
    coveredBy: ["tests/fragments/deployments_test.ts", 'deploy("anonymity.toml"'],
  },
  {
    document: "docs/deployments.md",
    begins: "culvert up --plan examples/performance.toml",
    why: "another test runs it, and loses machines of it",
    coveredBy: ["tests/fragments/deployments_test.ts", 'deploy("performance.toml"'],
  },
  {
    document: "docs/deployments.md",
    begins: "culvert up --plan examples/shared-uplink.toml",
    why: "another test runs it, and loses machines of it",
    coveredBy: ["tests/fragments/deployments_test.ts", 'deploy("shared-uplink.toml"'],
  },
  {
    document: "docs/deployments.md",
    begins: "culvert up --with sharing",
    why: "README.md has it too, and once is enough",
    coveredBy: ["README.md", "culvert up --with sharing"],
  },
  {
    document: "docs/deployments.md",
    begins: "culvert up --with files",
    why: "README.md has it too, and once is enough",
    coveredBy: ["README.md", "culvert up --with files"],
  },
  {
    document: "README.md",
    begins: "culvert manager install$",
    why: "it asks for all it has to know, and starts what lasts",
    coveredBy: ["tests/manager/install_test.ts", "a service is installed as a unit"],
  },
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
  {
    document: "docs/containers.md",
    begins: "docker ",
    why:
      "there is no Docker; the Dockerfile's steps are carried out without it, of deployments those that test:image starts",
    coveredBy: ["tests/image/image_test.ts", "what the Dockerfile says makes an image"],
  },
  {
    document: "docs/containers.md",
    begins: "cp deploy/compose/env.example",
    why: "it is for the commands around it, which are Docker's",
    coveredBy: ["tests/image/compose_test.ts", "env.example has every variable"],
  },
  {
    document: "docs/containers.md",
    begins: "curl ",
    why: "there is no Docker to run what it goes through",
    coveredBy: ["tests/image/deployments.ts", "deployments of deploy/compose do what they are for"],
  },
  {
    document: "docs/containers.md",
    begins: "deno task test",
    why: "they are tests themselves, and take minutes",
    coveredBy: ["tests/image/image_test.ts", "what the Dockerfile says makes an image"],
  },
];
