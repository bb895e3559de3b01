/**
 * The completion script for zsh, on its own `_arguments`. Saved as `_culvert` in a directory of `$fpath`, or sourced.
 */

import {
  argumentsOf,
  type CompletedFlag,
  type CompletedRole,
  type CompletedValue,
  flagsOf,
  singleQuoted,
} from "./command.ts";

export function zshCompletion(roles: readonly CompletedRole[]): string {
  const names = roles.map(({ name, summary }) => `    ${singleQuoted(`${escapeColons(name)}:${summary}`)}`);
  return `#compdef culvert
# zsh completion for culvert; made by: culvert completions zsh

_culvert_roles() {
  local -a roles
  roles=(
${names.join("\n")}
  )
  _describe role roles
}

_culvert() {
  if (( CURRENT == 2 )); then
    _culvert_roles
    compadd -- help --help --version
    return
  fi
  local role=$words[2]
  shift words
  (( CURRENT-- ))
  case $role in
    help) _culvert_roles ;;
${roles.map(roleCase).join("\n")}
  esac
}

if [[ $funcstack[1] == _culvert ]]; then
  _culvert "$@"
else
  compdef _culvert culvert
fi
`;
}

function roleCase(role: CompletedRole): string {
  const specs = [
    ...flagsOf(role).map(flagSpec),
    ...argumentsOf(role).map((value, at) => singleQuoted(`${at + 1}${valueSpec(value)}`)),
  ];
  return `    ${role.name})\n      _arguments \\\n${specs.map((spec) => "        " + spec).join(" \\\n")} ;;`;
}

function flagSpec({ flag, description, value }: CompletedFlag): string {
  const text = description.replace(/[\\[\]]/g, "\\$&");
  // The star lets a flag be given again; the equals sign allows --flag=value beside --flag value.
  const name = value && flag.startsWith("--") ? `${flag}=` : flag;
  return singleQuoted(`*${name}[${text}]${value ? valueSpec(value) : ""}`);
}

function valueSpec({ words, files, placeholder }: CompletedValue): string {
  const action = files === "file"
    ? "_files"
    : files === "directory"
    ? "_files -/"
    : words.length > 0
    ? `(${words.map((word) => word.replace(/[\s():\\]/g, "\\$&")).join(" ")})`
    : " ";
  return `:${escapeColons(placeholder)}:${action}`;
}

function escapeColons(text: string): string {
  return text.replace(/[\\:]/g, "\\$&");
}
