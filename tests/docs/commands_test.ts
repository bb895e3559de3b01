import { assertEquals, assertThrows } from "@std/assert";
import { commandsOf, type DocumentCommand, inlineCommandsOf, unmarkedCommands } from "./commands.ts";

const FENCE = "```";

function block(language: string, ...lines: string[]): string {
  return [`${FENCE}${language}`, ...lines, FENCE].join("\n");
}

function texts(commands: readonly DocumentCommand[]): string[] {
  return commands.map(({ text }) => text);
}

const rows: readonly { name: string; markdown: string; commands: string[] }[] = [
  {
    name: "each line",
    markdown: block("sh", "culvert base", "", "culvert exit"),
    commands: ["culvert base", "culvert exit"],
  },
  { name: "bash as well as sh", markdown: block("bash", "wg show"), commands: ["wg show"] },
  { name: "a comment", markdown: block("sh", "# first", "culvert up   # runs"), commands: ["culvert up"] },
  {
    name: "a # inside of quotes or words",
    markdown: block("sh", `echo '# a' "#b" c#d`),
    commands: [`echo '# a' "#b" c#d`],
  },
  { name: "lines joined", markdown: block("sh", "culvert base \\", "  --json"), commands: ["culvert base --json"] },
  {
    name: "a document in the command",
    markdown: block("sh", "cat > a <<'END'", "# kept", "END", "wc a"),
    commands: ["cat > a <<'END'\n# kept\nEND", "wc a"],
  },
  {
    name: "other languages",
    markdown: [block("ts", "a"), block("toml", "b"), block("", "c")].join("\n"),
    commands: [],
  },
  { name: "a block in a list", markdown: "1. so\n\n   ```sh\n   culvert up\n   ```\n", commands: ["culvert up"] },
];

for (const { name, markdown, commands } of rows) {
  Deno.test(`commands of a document: ${name}`, () => assertEquals(texts(commandsOf("a.md", markdown)), commands));
}

Deno.test("a console's commands have what they print, and every command its line", () => {
  const markdown = `# A\n\n${block("console", "$ culvert keys", "peer id  x", "", "$ true")}`;
  assertEquals(commandsOf("a.md", markdown), [
    { document: "a.md", line: 4, text: "culvert keys", prints: ["peer id  x", ""] },
    { document: "a.md", line: 7, text: "true", prints: [] },
  ]);
});

Deno.test("a block that looks like commands and does not say so is found", () => {
  const markdown = `${block("", "culvert base", "culvert-journal 1", "nothing")}\n${block("sh", "culvert exit")}`;
  assertEquals(texts(unmarkedCommands("a.md", markdown)), ["culvert base"]);
});

Deno.test("a block without an end is no document", () => {
  assertThrows(() => commandsOf("a.md", "```sh\nculvert base"), Error, "the block of line 1 must have an end");
});

Deno.test("commands in running text are found with their lines, and names of protocols are not", () => {
  const markdown = `So \`culvert keys\` and \`sudo culvert exit --tun\`.\n${
    block("", "`culvert no`")
  }\n\`culvert relay v1\``;
  assertEquals(texts(inlineCommandsOf("a.md", markdown)), ["culvert keys", "sudo culvert exit --tun"]);
});
