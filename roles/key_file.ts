/**
 * The form of files that hold keys: JSON with a version, the keys in base64 (padded, as `wg` writes them), and the name
 * that follows from them, by which a damaged file is told from a good one. See docs/identity.md.
 *
 * A file that cannot be read is left as it is, and no message says what is in it: a parser's own would quote the key.
 */

import { z } from "zod";
import { decodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { type Bytes, KEY_BYTES } from "../protocol/primitives.ts";

const VERSION = 1;

/** A 32-byte key in base64. */
export const keyText: z.ZodType<Bytes, string> = z.string().transform((text, context): Bytes => {
  const bytes = decodeBase64(text);
  if (bytes?.length === KEY_BYTES) return bytes;
  context.issues.push({ code: "custom", message: "must be 32 bytes in base64", input: "" });
  return z.NEVER;
});

/** The bytes of a key file. */
export function encodeKeyFile(fields: Readonly<Record<string, unknown>>): Bytes {
  return new TextEncoder().encode(JSON.stringify({ version: VERSION, ...fields }, null, 2) + "\n");
}

/** What a key file says; throws `corrupt_file` with the path and what to do. */
export function decodeKeyFile<T>(bytes: Uint8Array, fields: z.ZodType<T>, path: string): T {
  const json = jsonOf(bytes);
  if (json === undefined) throw corruptFile(path, "it must be JSON");
  const version = z.object({ version: z.number() }).safeParse(json);
  if (!version.success) throw corruptFile(path, "it must have a version");
  if (version.data.version !== VERSION) {
    throw corruptFile(path, `its version must be ${VERSION}, got ${version.data.version}`);
  }
  const parsed = fields.safeParse(json);
  if (!parsed.success) throw corruptFile(path, `"${parsed.error.issues[0]?.path.join(".")}" must be as documented`);
  return parsed.data;
}

export function corruptFile(path: string, rule: string): CulvertError {
  return new CulvertError(
    "corrupt_file",
    `Cannot read the keys in ${path}: ${rule}. The file is left as it is: restore it from a backup, ` +
      "or move it away to begin with new keys",
  );
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
