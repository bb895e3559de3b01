/**
 * The documents whose commands are run, the story of each, and which of its commands a turn or a row is about.
 */

import { commandsOf, type DocumentCommand } from "./commands.ts";
import { notRun } from "./not_run.ts";
import { stories } from "./stories.ts";
import type { Story, Turn } from "./story.ts";

const ROOT = new URL("../../", import.meta.url);
const AT_ROOT = ["README.md", "CONTRIBUTING.md", "SECURITY.md"];
const BESIDE_CODE = ["edge/README.md", "examples/README.md", "native/README.md", "kv/README.md"];

export function readRepositoryFile(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Every document, as a path from the root of the repository. */
export function documents(): string[] {
  const inDocs = [...Deno.readDirSync(new URL("docs/", ROOT))].map(({ name }) => `docs/${name}`);
  return [...AT_ROOT, ...BESIDE_CODE, ...inDocs.filter((path) => path.endsWith(".md")).toSorted()];
}

/** What is run of each document that has anything to run. */
export function played(): { readonly story: Story; readonly commands: readonly DocumentCommand[] }[] {
  return documents().flatMap((document) => {
    const commands = commandsOf(document, readRepositoryFile(document)).filter((command) => !isLeftOut(command));
    return commands.length === 0 ? [] : [{ story: storyOf(document), commands }];
  });
}

export function storyOf(document: string): Story {
  return stories.find((story) => story.document === document) ?? { document };
}

export function isAbout(begins: string, command: DocumentCommand): boolean {
  const text = plain(command.text);
  return begins.endsWith("$") ? text === plain(begins.slice(0, -1)) : text.startsWith(plain(begins));
}

/** The turn that says most about a command. */
export function turnOf(story: Story, command: DocumentCommand): Turn | undefined {
  const turns = (story.turns ?? []).filter(({ begins }) => isAbout(begins, command));
  return turns.toSorted((a, b) => b.begins.length - a.begins.length)[0];
}

function isLeftOut(command: DocumentCommand): boolean {
  return notRun.some(({ document, begins }) => document === command.document && isAbout(begins, command));
}

/** Columns that a document lines up are nothing to tell commands apart by. */
function plain(text: string): string {
  return text.replace(/ +/g, " ").trim();
}
