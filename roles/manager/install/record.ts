/**
 * What was installed, so that it can be taken away again and what somebody has changed since is known: one record for each
 * service, `installed/NAME.json` in the state directory. It is there before the first thing that it tells of, so that nothing
 * is forgotten when the installation is killed.
 */

import { join } from "@std/path";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { z } from "zod";
import { CulvertError } from "../../../protocol/errors.ts";
import { SERVICE_NAME } from "../../../protocol/manager/service.ts";
import { readPrivateFile, replacePrivateFile } from "../../private_file.ts";
import { StateDirectory } from "../../state.ts";

const recordSchema = z.object({
  name: z.string().regex(SERVICE_NAME),
  kind: z.string(),
  /** In the order in which they were made. */
  files: z.array(z.object({ path: z.string(), sha256: z.string() })),
  /** What it alone writes to. */
  stateDir: z.string(),
  /** Of its own; absent where it was there before. */
  user: z.string().optional(),
});

export type InstallRecord = z.output<typeof recordSchema>;

export function textHash(text: string): string {
  return bytesToHex(sha256(new TextEncoder().encode(text)));
}

export class InstallRecords {
  readonly #directory: string;

  constructor(stateDir: string) {
    this.#directory = join(stateDir, "installed");
  }

  async read(name: string): Promise<InstallRecord | undefined> {
    const bytes = await readPrivateFile(this.#pathOf(name));
    if (!bytes) return undefined;
    try {
      return recordSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    } catch {
      throw new CulvertError("corrupt_file", `Cannot read ${this.#pathOf(name)}: it must be a record of ours`);
    }
  }

  async write(record: InstallRecord): Promise<void> {
    await Deno.mkdir(join(this.#directory, ".."), { recursive: true });
    await StateDirectory.open(this.#directory);
    const text = JSON.stringify(recordSchema.parse(record), null, 2);
    await replacePrivateFile(this.#pathOf(record.name), new TextEncoder().encode(text));
  }

  async remove(name: string): Promise<void> {
    await Deno.remove(this.#pathOf(name)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }

  #pathOf(name: string): string {
    return join(this.#directory, `${name}.json`);
  }
}
