/**
 * The key of packet relays, in a file: all that one has to keep, and what makes several of them one. Made on first start.
 */

import { z } from "zod";
import { encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { type Bytes, KEY_BYTES } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import { decodeKeyFile, encodeKeyFile, keyText } from "./key_file.ts";
import { createPrivateFile, readPrivateFile } from "./private_file.ts";

const packetRelayFile = z.object({ packetRelayKey: keyText });

/** The key in that file, made if there is none. Throws `corrupt_file` or `insecure_file`. */
export async function loadOrCreatePacketRelayKey(path: string, random: Random): Promise<Bytes> {
  const found = await readKey(path);
  if (found) return found;
  const key = random.fill(new Uint8Array(KEY_BYTES));
  try {
    await createPrivateFile(path, encodeKeyFile({ packetRelayKey: encodeBase64(key) }));
    return key;
  } catch (error) {
    // Another that was started at the same time has made it.
    const made = error instanceof CulvertError && error.code === "exists" ? await readKey(path) : undefined;
    if (made) return made;
    throw error;
  }
}

async function readKey(path: string): Promise<Bytes | undefined> {
  const bytes = await readPrivateFile(path);
  return bytes && decodeKeyFile(bytes, packetRelayFile, path).packetRelayKey;
}
