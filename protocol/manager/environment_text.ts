/**
 * A service's environment as a file that systemd reads (`EnvironmentFile=`, systemd.exec(5)): a `NAME="value"` a line, with
 * whatever is in the value.
 */

export function environmentText(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment).map(([name, value]) => `${name}="${value.replaceAll(/["\\`$]/g, "\\$&")}"\n`).join(
    "",
  );
}
