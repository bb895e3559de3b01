/**
 * The completion script for bash (3.2 and later; no bash-completion package needed).
 */

import { argumentsOf, type CompletedRole, type CompletedValue, flagsOf, singleQuoted } from "./command.ts";

export function bashCompletion(roles: readonly CompletedRole[]): string {
  const names = roles.map(({ name }) => name);
  return `# bash completion for culvert; made by: culvert completions bash

_culvert_words() {
  COMPREPLY=()
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$@")
}

_culvert_files() {
  compopt -o filenames 2>/dev/null
  _culvert_words "\${@:2}" -- "$1"
}

_culvert() {
  local role=\${COMP_WORDS[1]} current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  # Readline splits --flag=value into three words.
  if [[ $current == "=" ]]; then
    current=""
  elif [[ $previous == "=" ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  if ((COMP_CWORD == 1)); then
    _culvert_words -W ${singleQuoted([...names, "help", "--help", "--version"].join(" "))} -- "$current"
    return
  fi
  case "$role $previous" in
${roles.flatMap(valueCases).join("\n")}
  esac
  if [[ $current == -* ]]; then
    case "$role" in
${roles.map(flagCase).join("\n")}
    esac
    return
  fi
  case "$role" in
    help) _culvert_words -W ${singleQuoted(names.join(" "))} -- "$current" ;;
${roles.flatMap(argumentCase).join("\n")}
  esac
}

complete -F _culvert culvert
`;
}

function valueCases(role: CompletedRole): string[] {
  return flagsOf(role).flatMap(({ flag, value }) => {
    return value ? [`    ${singleQuoted(`${role.name} ${flag}`)}) ${complete(value)}return ;;`] : [];
  });
}

function flagCase(role: CompletedRole): string {
  const flags = flagsOf(role).map(({ flag }) => flag).join(" ");
  return `      ${role.name}) _culvert_words -W ${singleQuoted(flags)} -- "$current" ;;`;
}

/** Which of several bare words one stands on would take a parser: the choices of all are offered. */
function argumentCase(role: CompletedRole): string[] {
  const values = argumentsOf(role);
  const words = values.flatMap(({ words }) => words);
  const files = values.find((value) => value.files);
  const command = files ? completeFiles(files, words) : complete({ words, placeholder: "" });
  return command === "" ? [] : [`    ${role.name}) ${command};;`];
}

function complete(value: CompletedValue): string {
  if (value.files) return completeFiles(value);
  return value.words.length > 0 ? `_culvert_words -W ${singleQuoted(value.words.join(" "))} -- "$current"; ` : "";
}

/** Files, and words that may stand in their place. */
function completeFiles({ files }: CompletedValue, words: readonly string[] = []): string {
  const also = words.length > 0 ? ` -W ${singleQuoted(words.join(" "))}` : "";
  return `_culvert_files "$current" ${files === "file" ? "-f" : "-d"}${also}; `;
}
