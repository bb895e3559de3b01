/**
 * Every command of every document is run, or is in the table with a reason and with the test that covers it instead.
 */

import { assert, assertEquals } from "@std/assert";
import { commandsOf, type DocumentCommand, unmarkedCommands } from "./commands.ts";
import { documents, isAbout, readRepositoryFile } from "./documents.ts";
import { notRun } from "./not_run.ts";
import { stories } from "./stories.ts";

const commands = documents().flatMap((document) => commandsOf(document, readRepositoryFile(document)));

function where({ document, line, text }: DocumentCommand): string {
  return `${document}:${line}: ${text}`;
}

Deno.test("every block that looks like commands says that it is one: ```sh", () => {
  const unmarked = documents().flatMap((document) => unmarkedCommands(document, readRepositoryFile(document)));
  assertEquals(unmarked.map(where), []);
});

Deno.test("every row of what is not run is about a command, and the test that covers it is there", () => {
  for (const { document, begins, coveredBy: [file, name] } of notRun) {
    assert(
      commands.some((command) => command.document === document && isAbout(begins, command)),
      `${document}: ${begins}`,
    );
    assert(readRepositoryFile(file).includes(name), `${document}: ${begins}: there is no "${name}" in ${file}`);
  }
});

Deno.test("every story is of a document, one for each, and every turn is about a command that is run", () => {
  const known = documents();
  assertEquals(stories.map(({ document }) => document).filter((document) => !known.includes(document)), []);
  assertEquals(new Set(stories.map(({ document }) => document)).size, stories.length);
  const run = commands.filter((command) =>
    !notRun.some(({ document, begins }) => document === command.document && isAbout(begins, command))
  );
  const idle = stories.flatMap(({ document, turns = [] }) => {
    const own = run.filter((command) => command.document === document);
    return turns.filter(({ begins }) => !own.some((command) => isAbout(begins, command))).map(({ begins }) =>
      `${document}: ${begins}`
    );
  });
  assertEquals(idle, []);
});

Deno.test("the documents are all there are: a Markdown file elsewhere has no command that nobody runs", async () => {
  const { stdout } = await new Deno.Command("git", { args: ["ls-files", "*.md"] }).output();
  const others = new TextDecoder().decode(stdout).split("\n").filter((path) =>
    path !== "" && !documents().includes(path)
  );
  const found = others.flatMap((path) => commandsOf(path, readRepositoryFile(path)));
  assertEquals(found.map(where), []);
});
