/**
 * Text from elsewhere made safe to show on one line: a value in a log line or an error message must not be able to
 * start a new line, move the cursor or turn the reading direction round. Used by `log_format.ts` and `config/`.
 */

/** C0 and C1 controls, DEL, line and paragraph separators, and the bidirectional overrides ("Trojan Source"). */
// deno-lint-ignore no-control-regex -- finding control characters is the point
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** The text with every unsafe character written as `\n`, `\t` or `\u….`, and cut after `maxLength` characters. */
export function escapeText(text: string, maxLength = Infinity): string {
  const kept = text.length > maxLength ? text.slice(0, maxLength) : text;
  const safe = kept.toWellFormed().replace(UNSAFE, escapeCharacter);
  return kept.length < text.length ? safe + "…" : safe;
}

/** The text as a JSON string literal, with the characters that JSON leaves alone escaped as well. */
export function quoteText(text: string, maxLength = Infinity): string {
  const kept = text.length > maxLength ? text.slice(0, maxLength) + "…" : text;
  return JSON.stringify(kept).replace(UNSAFE, escapeCharacter);
}

function escapeCharacter(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  if (character === "\t") return "\\t";
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}
