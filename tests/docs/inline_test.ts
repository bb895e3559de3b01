/**
 * Commands in running text, such as `culvert admin drain --within 2m`, are not run; but the role they name is one, and it has the
 * flags they give. So do tables of commands, since they are text as well.
 */

import { assert, assertEquals } from "@std/assert";
import { flagsOf } from "../../roles/completions/command.ts";
import { completedRoles } from "../../roles/completions.ts";
import { registry } from "../../roles/registry.ts";
import { inlineCommandsOf } from "./commands.ts";
import { documents, readRepositoryFile } from "./documents.ts";

Deno.test("every role and flag that the documents name in passing is there", async () => {
  const roles = new Map(
    (await completedRoles(registry)).map((role) => [role.name, flagsOf(role).map(({ flag }) => flag)]),
  );
  const families = new Set([...roles.keys()].map((name) => name.split("-")[0]!));
  const problems: string[] = [];
  let count = 0;
  for (const document of documents()) {
    for (const { line, text } of inlineCommandsOf(document, readRepositoryFile(document))) {
      count++;
      const problem = problemOf(text);
      if (problem) problems.push(`${document}:${line}: ${text}: ${problem}`);
    }
  }
  assert(count > 50, `${count} are too few to be all`);
  assertEquals(problems, []);

  function problemOf(text: string): string | undefined {
    const [first = "", second = "", ...rest] = text.replace(/^(sudo )?culvert /, "").split(/\s+/);
    if (first === "help") return undefined;
    const [name, words] = roles.has(`${first}-${second}`) ? [`${first}-${second}`, rest] : [first, [second, ...rest]];
    const known = roles.get(name);
    if (!known) return families.has(name) && words.join("") === "" ? undefined : `there is no role ${name}`;
    const unknown = words.map((word) => word.split("=")[0]!).find((word) =>
      /^--?[a-z]/.test(word) && !known.includes(word)
    );
    return unknown && `${name} has no ${unknown}`;
  }
});
