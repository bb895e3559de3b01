/**
 * Files in PEM that a flag names: certificates and keys. What is in one is never repeated.
 */

import { messageOf } from "../protocol/errors.ts";
import { ConfigError } from "./config.ts";
import { quoteText } from "./escape.ts";

/** The file's text; throws a ConfigError that names the flag if it cannot be read or is no PEM. */
export async function readPem(path: string, { flag, action }: { flag: string; action: string }): Promise<string> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    // Such as a key that certbot keeps, which is root's.
    const advice = error instanceof Deno.errors.PermissionDenied ? "; its owner or root may" : "";
    throw new ConfigError(action, [`${flag} must be a file that can be read: ${messageOf(error)}${advice}`]);
  }
  if (/^-----BEGIN [A-Z0-9 ]+-----\r?$/m.test(text)) return text;
  throw new ConfigError(action, [`${flag} must be a file in PEM, got ${quoteText(path)}`]);
}
