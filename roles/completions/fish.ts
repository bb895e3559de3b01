/**
 * The completion script for fish.
 */

import { argumentsOf, type CompletedFlag, type CompletedRole, type CompletedValue, flagsOf } from "./command.ts";

export function fishCompletion(roles: readonly CompletedRole[]): string {
  const lines = roles.flatMap((role) => [
    `complete -c culvert -n __fish_use_subcommand -a ${role.name} -d ${fishQuoted(role.summary)}`,
    ...flagsOf(role).map((flag) => flagLine(role.name, flag)),
    ...argumentsOf(role).map((value) => `complete -c culvert -n ${condition(role.name)}${valueOptions(value)}`),
  ]);
  const names = roles.map(({ name }) => name).join(" ");
  return `# fish completion for culvert; made by: culvert completions fish

complete -c culvert -f
complete -c culvert -n __fish_use_subcommand -a help -d 'Show the flags of a role.'
complete -c culvert -n __fish_use_subcommand -l help -d 'Show every role.'
complete -c culvert -n __fish_use_subcommand -l version -d 'Show the version.'
complete -c culvert -n ${condition("help")} -a ${fishQuoted(names)}
${lines.join("\n")}
`;
}

function condition(role: string): string {
  return fishQuoted(`__fish_seen_subcommand_from ${role}`);
}

function flagLine(role: string, { flag, description, value }: CompletedFlag): string {
  const name = flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
  const options = value ? ` -x${valueOptions(value)}` : "";
  return `complete -c culvert -n ${condition(role)} ${name}${options} -d ${fishQuoted(description)}`;
}

function valueOptions({ words, files }: CompletedValue): string {
  if (files === "directory") return " -a '(__fish_complete_directories)'";
  if (files === "file") return " -a '(__fish_complete_path)'";
  return words.length > 0 ? ` -a ${fishQuoted(words.join(" "))}` : "";
}

/** In fish's single quotes a backslash quotes itself and the quote. */
function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
