/**
 * One setting, four spellings: `maxStreams` in the schema is `--max-streams`, `CULVERT_MAX_STREAMS` and `max_streams`
 * in a file (where `max-streams` and `maxStreams` will do too).
 */

import { closestString } from "@std/text/closest-string";

/** The kebab-case form of a camelCase, snake_case or kebab-case name; the form in which names are compared. */
export function kebabCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1-$2").replaceAll("_", "-").toLowerCase();
}

export function flagName(path: readonly string[]): string {
  return path.map(kebabCase).join("-");
}

export function environmentName(path: readonly string[]): string {
  return "CULVERT_" + flagName(path).replaceAll("-", "_").toUpperCase();
}

export function fileKey(path: readonly string[]): string {
  return path.map((name) => kebabCase(name).replaceAll("-", "_")).join(".");
}

/** `; did you mean X?`, or nothing when there is nothing to mean. */
export function didYouMean(word: string, known: readonly string[]): string {
  // Comparing costs word × known letters: a name as long as this is no typing mistake.
  return known.length === 0 || word.length > 100 ? "" : `; did you mean ${closestString(word, known)}?`;
}
