/**
 * The key of a closed network, in a file that its owner keeps off the network. Whoever has it decides who belongs.
 */

import { z } from "zod";
import { networkIdOf } from "../protocol/certificate.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { type Bytes, KEY_BYTES, type Primitives } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import { corruptFile, decodeKeyFile, encodeKeyFile, keyText } from "./key_file.ts";
import { createPrivateFile, readPrivateFile } from "./private_file.ts";

const networkFile = z.object({ networkId: z.string(), networkKey: keyText });

/** A network as those who check certificates know it. */
export interface Network {
  readonly networkId: string;
  readonly publicKey: Bytes;
}

/** Makes a network: writes its key to a new file. `random` must be unpredictable. */
export async function createNetwork(
  path: string,
  tools: { readonly random: Random; readonly primitives: Primitives },
): Promise<Network> {
  const networkKey = tools.random.fill(new Uint8Array(KEY_BYTES));
  const network = networkOf(networkKey, tools.primitives);
  const file = encodeKeyFile({ networkId: network.networkId, networkKey: encodeBase64(networkKey) });
  await createPrivateFile(path, file);
  return network;
}

/** The secret key in a network's file. Throws `not_found`, `corrupt_file` or `insecure_file`. */
export async function readNetworkKey(path: string, primitives: Primitives): Promise<Bytes> {
  const bytes = await readPrivateFile(path);
  if (!bytes) throw new CulvertError("not_found", `Cannot read the network key: ${path} must be a file, got nothing`);
  const { networkId, networkKey } = decodeKeyFile(bytes, networkFile, path);
  const network = networkOf(networkKey, primitives);
  if (network.networkId !== networkId) {
    throw corruptFile(path, `its network id must be that of its key, ${network.networkId}`);
  }
  return networkKey;
}

function networkOf(networkKey: Bytes, primitives: Primitives): Network {
  const publicKey = primitives.ed25519PublicKey(networkKey);
  return { networkId: networkIdOf(publicKey, primitives), publicKey };
}
