import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { z } from "zod";
import { testWith } from "../testing/requirements.ts";
import { bashCompletion } from "./completions/bash.ts";
import type { CompletedRole } from "./completions/command.ts";
import { fishCompletion } from "./completions/fish.ts";
import { zshCompletion } from "./completions/zsh.ts";
import { completedRoles } from "./completions.ts";
import { directoryPath, filePath, listenAddress } from "./fields.ts";
import { FakeHost } from "./fixtures/fake_host.ts";
import { main } from "./main.ts";
import { defineRole, type Role } from "./role.ts";

const SUMMARY = `Says "it's $HOME", \`x\`, [a:b] and \\ on one line.`;

const proxy = defineRole({
  name: "proxy",
  summary: SUMMARY,
  config: z.object({
    action: z.enum(["show", "make"]).describe("What to do.").meta({ positional: true }),
    listen: listenAddress(":1").describe(SUMMARY).meta({ short: "l" }),
    policy: z.enum(["failover", "race"]).default("race").describe(SUMMARY),
    splice: z.boolean().default(true),
    rules: filePath().optional(),
    folder: directoryPath().optional(),
  }),
  examples: [],
  run: () => Promise.resolve(),
});

const wire = defineRole({
  name: "wire",
  summary: "",
  config: z.object({
    action: z.enum(["add", "show"]).meta({ positional: true }),
    conf: filePath().optional().meta({ positional: true }),
  }),
  examples: [],
  run: () => Promise.resolve(),
});

function roles(): Promise<CompletedRole[]> {
  const entryOf = (role: Role) => ({ name: role.name, summary: SUMMARY, group: "", load: () => Promise.resolve(role) });
  return completedRoles([proxy as Role, wire as Role].map(entryOf));
}

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** What a shell finds wrong with a script. */
async function syntaxErrors(shell: string, script: string): Promise<string> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/script`, script);
    const args = ["-n", `${directory}/script`];
    const { stderr } = await new Deno.Command(shell, { args, stdout: "null", stderr: "piped" }).output();
    return new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

for (const [shell, make] of Object.entries(scripts)) {
  testWith({ tools: [shell] }, `${shell} accepts its script, whatever the descriptions say`, async () => {
    assertEquals(await syntaxErrors(shell, make(await roles())), "");
    assertEquals(await syntaxErrors(shell, make([])), "");
  });
}

/** What bash offers after these words; the last one is being typed. */
async function complete(words: readonly string[], directory = "."): Promise<string[]> {
  const script = `${bashCompletion(await roles())}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_culvert
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: ["--norc", "-c", script, "bash", ...words],
    cwd: directory,
    stdout: "piped",
    stderr: "piped",
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "").sort();
}

testWith({ tools: ["bash"] }, "bash completes roles, flags, choices and files", async (t) => {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/a folder`);
  await Deno.writeTextFile(`${directory}/a file.toml`, "");
  const rows: { name: string; words: string[]; want: string[] }[] = [
    { name: "roles", words: ["culvert", "p"], want: ["proxy"] },
    { name: "what is no role", words: ["culvert", "--"], want: ["--help", "--version"] },
    { name: "roles after help", words: ["culvert", "help", ""], want: ["proxy", "wire"] },
    { name: "flags", words: ["culvert", "proxy", "--l"], want: ["--listen", "--log-format", "--log-level"] },
    { name: "negated switches", words: ["culvert", "proxy", "--no"], want: ["--no-splice"] },
    { name: "choices", words: ["culvert", "proxy", "--policy", ""], want: ["failover", "race"] },
    { name: "choices after =", words: ["culvert", "proxy", "--policy", "="], want: ["failover", "race"] },
    { name: "choices begun after =", words: ["culvert", "proxy", "--policy", "=", "f"], want: ["failover"] },
    { name: "common choices", words: ["culvert", "proxy", "--log-level", "w"], want: ["warn"] },
    { name: "nothing where anything goes", words: ["culvert", "proxy", "-l", ""], want: [] },
    { name: "arguments", words: ["culvert", "proxy", ""], want: ["make", "show"] },
    { name: "files", words: ["culvert", "proxy", "--rules", "a"], want: ["a file.toml", "a folder"] },
    { name: "directories", words: ["culvert", "proxy", "--folder", ""], want: ["a folder"] },
    { name: "words and files", words: ["culvert", "wire", "a"], want: ["a file.toml", "a folder", "add"] },
    { name: "an unknown role", words: ["culvert", "none", "--"], want: [] },
  ];
  try {
    for (const { name, words, want } of rows) {
      await t.step(name, async () => assertEquals(await complete(words, directory), want));
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("every shell's script comes from the command and knows the registry", async () => {
  for (const shell of Object.keys(scripts)) {
    const host = new FakeHost();
    assertEquals(await main(["completions", shell], host), 0);
    for (const word of ["completions", "version", "log-level"]) assertStringIncludes(host.out, word);
    assert(host.out.endsWith("\n") && !host.out.endsWith("\n\n"));
  }
});
