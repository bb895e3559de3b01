/**
 * The key of packet relays, in a file: all that one has to keep, and what makes several of them one. Made on first start.
 */

import { z } from "zod";
import { type Clock, delay } from "../protocol/clock.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { type Bytes, KEY_BYTES } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import { decodeKeyFile, encodeKeyFile, keyText } from "./key_file.ts";
import { createPrivateFile, readPrivateFile } from "./private_file.ts";

const packetRelayFile = z.object({ packetRelayKey: keyText });

/** How long another that was started at the same time may take to make it. */
const TRIES = 40;
const AGAIN_MS = 50;

/** The key in that file, made if there is none. Throws `corrupt_file`, `insecure_file`, or `exists` where one was half made. */
export async function loadOrCreatePacketRelayKey(
  path: string,
  { random, clock }: { readonly random: Random; readonly clock: Clock },
): Promise<Bytes> {
  for (let tries = 1;; tries++) {
    const found = await readKey(path);
    if (found) return found;
    const key = random.fill(new Uint8Array(KEY_BYTES));
    try {
      await createPrivateFile(path, encodeKeyFile({ packetRelayKey: encodeBase64(key) }));
      return key;
    } catch (error) {
      if (!(error instanceof CulvertError && error.code === "exists") || tries === TRIES) throw error;
    }
    await delay(clock, AGAIN_MS);
  }
}

async function readKey(path: string): Promise<Bytes | undefined> {
  const bytes = await readPrivateFile(path);
  return bytes && decodeKeyFile(bytes, packetRelayFile, path).packetRelayKey;
}
