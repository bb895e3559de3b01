/**
 * Colours of the manager's commands: on terminals alone, and none where NO_COLOR says so (no-color.org). What is coloured is
 * said in words as well.
 */

export type Style = "good" | "bad" | "waiting" | "faint" | "strong" | "chosen";

/** Text as it is written out. */
export type Paint = (text: string, style: Style | undefined) => string;

export function plainPaint(text: string): string {
  return text;
}

/** SGR parameters (ECMA-48 8.3.117); of the sixteen colours that every terminal has, as its owner has set them. */
const PARAMETERS: Readonly<Record<Style, string>> = {
  good: "32",
  bad: "31",
  waiting: "33",
  faint: "2",
  strong: "1",
  chosen: "7",
};

export function terminalPaint(text: string, style: Style | undefined): string {
  return style === undefined || text === "" ? text : `\x1b[${PARAMETERS[style]}m${text}\x1b[0m`;
}

/** What suits whoever reads standard output. */
export function outputPaint(env: (name: string) => string | undefined = (name) => Deno.env.get(name)): Paint {
  return Deno.stdout.isTerminal() && !env("NO_COLOR") ? terminalPaint : plainPaint;
}
