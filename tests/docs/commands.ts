/**
 * The commands that documents show: what a reader would type.
 *
 *   ```sh, ```bash     every line is a command; `\` at its end goes on in the next, `<<WORD` up to WORD; comments are not
 *   ```console         lines behind `$ ` are commands, the lines below one are what it prints
 *   ```                no command: a block that looks like one must say `sh`, which `unmarkedCommands` is for
 *
 * A command is a line of a shell, with its pipes and its `;`. Those in running text, in quotes such as these, are apart:
 * `inlineCommandsOf`.
 */

export interface DocumentCommand {
  /** A path from the root of the repository. */
  readonly document: string;
  readonly line: number;
  /** As it is typed, with its comment gone and its lines joined. */
  readonly text: string;
  /** What the document shows below it; undefined in a block without output. */
  readonly prints?: readonly string[];
}

export interface Block {
  readonly language: string;
  /** Of its first line between the fences. */
  readonly line: number;
  readonly lines: readonly string[];
}

const COMMAND_LANGUAGES = new Set(["sh", "bash", "shell"]);
const LOOKS_LIKE_A_COMMAND = /^(\$ )?(sudo )?(culvert|deno|npx|curl) \S/;

/** The fenced blocks of a document in Markdown. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const [, indent, language] = /^( *)```(\w*)\s*$/.exec(lines[at]!) ?? [];
    if (indent === undefined || language === undefined) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === "```");
    if (end === -1) throw new Error(`Cannot read a document: the block of line ${at + 1} must have an end`);
    const inside = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
    blocks.push({ language, line: at + 2, lines: inside });
    at = end;
  }
  return blocks;
}

/** Every command of a document, from top to bottom. */
export function commandsOf(document: string, markdown: string): DocumentCommand[] {
  return blocksOf(markdown).flatMap((block) => {
    if (COMMAND_LANGUAGES.has(block.language)) return typedCommands(document, block);
    return block.language === "console" ? shownCommands(document, block) : [];
  });
}

/** Lines that look like commands in blocks that are not marked as such, and so would never be run. */
export function unmarkedCommands(document: string, markdown: string): DocumentCommand[] {
  return blocksOf(markdown).filter(({ language }) => language === "").flatMap(({ line, lines }) =>
    lines.flatMap((text, index) => LOOKS_LIKE_A_COMMAND.test(text) ? [{ document, line: line + index, text }] : [])
  );
}

/** Commands of ours in running text. `culvert relay v1` and its like are names of protocols. */
export function inlineCommandsOf(document: string, markdown: string): DocumentCommand[] {
  const blocks = blocksOf(markdown).flatMap(({ line, lines }) => lines.map((_, index) => line + index));
  const text = markdown.split("\n").map((line, index) => blocks.includes(index + 1) ? "" : line).join("\n");
  return [...text.matchAll(/`((?:sudo )?culvert [^`\n]*)`/g)].flatMap((match) => {
    const line = text.slice(0, match.index).split("\n").length;
    return / v\d$/.test(match[1]!) ? [] : [{ document, line, text: match[1]! }];
  });
}

function typedCommands(document: string, block: Block): DocumentCommand[] {
  const commands: DocumentCommand[] = [];
  for (let at = 0; at < block.lines.length; at++) {
    const line = block.line + at;
    let text = withoutComment(block.lines[at]!);
    while (text.endsWith("\\") && at + 1 < block.lines.length) {
      text = `${text.slice(0, -1).trimEnd()} ${withoutComment(block.lines[++at]!).trimStart()}`;
    }
    const [, word] = /<<-?\s*['"]?(\w+)/.exec(text) ?? [];
    if (word !== undefined) {
      while (++at < block.lines.length && block.lines[at] !== word) text += `\n${block.lines[at]}`;
      text += `\n${word}`;
    }
    if (text.trim() !== "") commands.push({ document, line, text: text.trim() });
  }
  return commands;
}

function shownCommands(document: string, block: Block): DocumentCommand[] {
  const commands: (DocumentCommand & { readonly prints: string[] })[] = [];
  for (const [index, text] of block.lines.entries()) {
    if (text.startsWith("$ ")) {
      commands.push({ document, line: block.line + index, text: withoutComment(text.slice(2)).trim(), prints: [] });
    } else commands.at(-1)?.prints.push(text);
  }
  return commands;
}

/** What a shell would read of the line: a `#` at the beginning of a word and outside of quotes ends it. */
function withoutComment(line: string): string {
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === "\\") at++;
    else if (character === "'" || character === '"') quote = character;
    else if (character === "#" && (at === 0 || /\s/.test(line[at - 1]!))) return line.slice(0, at).trimEnd();
  }
  return line.trimEnd();
}
