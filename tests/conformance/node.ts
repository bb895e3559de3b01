/**
 * Says how far a node's program keeps to docs/node-protocol.md:
 *
 *   deno run -A tests/conformance/node.ts [--json] -- <command> [arguments with {url} {code} {orchestrator} {port} {closedPort}]
 *
 * The program is started once, as a node that has agreed to share, may dial 127.0.0.1 on `{port}` and `{closedPort}`, and
 * keeps nothing of an earlier run. It is ended when all is done. Exit code 0: all holds.
 */

import process from "node:process";
import { checks } from "./checks.ts";
import { type NodePlaces, runChecks, type Verdict } from "./run_checks.ts";

const PLACEHOLDER = /\{(url|code|orchestrator|port|closedPort)\}/g;

export function filledIn(words: readonly string[], places: NodePlaces): string[] {
  return words.map((word) => word.replace(PLACEHOLDER, (_, name: keyof NodePlaces) => String(places[name])));
}

/** A program, ended by its pid. */
export function startProgram(words: readonly string[]): AsyncDisposable {
  const [program, ...args] = words;
  const child = new Deno.Command(program!, { args, stdin: "null", stdout: "null", stderr: "inherit" }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended by itself.
      }
      await child.status;
    },
  };
}

export function lineOf({ name, holds, why }: Verdict): string {
  const mark = !holds ? "does not hold" : why === undefined ? "holds" : "does not arise";
  return `${mark.padEnd(14)}  ${name}${why === undefined ? "" : `: ${why}`}`;
}

async function main(args: readonly string[]): Promise<number> {
  const at = args.indexOf("--");
  const command = args.slice(at + 1);
  if (at < 0 || command.length === 0) {
    console.error("Usage: deno run -A tests/conformance/node.ts [--json] -- <command> [arguments…]");
    return 2;
  }
  const isJson = args.slice(0, at).includes("--json");
  const verdicts = await runChecks((places) => startProgram(filledIn(command, places)), {
    onVerdict: (verdict) => isJson || console.log(lineOf(verdict)),
  });
  const failed = verdicts.filter(({ holds }) => !holds).length;
  if (verdicts.length < checks.length) {
    console.error(
      "Nothing has connected, so the rest was not asked. Does the command start a node that goes to {url}?",
    );
  }
  console.log(isJson ? JSON.stringify(verdicts) : `\n${verdicts.length - failed} of ${verdicts.length} hold`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(Deno.args);
