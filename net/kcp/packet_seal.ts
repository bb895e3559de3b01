/**
 * Opens the seal for a crypt of kcp-go by the fastest means of this host: libcrypto where FFI is allowed and it is there,
 * plain JavaScript otherwise.
 *
 *   using seal = await openPacketSeal({ crypt: "aes", key: await kcptunKey(passphrase), random });
 */

import { messageOf } from "../../protocol/errors.ts";
import type { PacketCiphers } from "../../native/packet_cipher.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import { bareSeal, CheckedSeal, type PacketCipher } from "../../protocol/packet_layer/checked_seal.ts";
import { cryptKey, type CryptName } from "../../protocol/packet_layer/crypt.ts";
import { Nonces } from "../../protocol/packet_layer/nonces.ts";
import { xorPad } from "../../protocol/packet_layer/packet_keys.ts";
import { CfbCipher, GcmSeal, Salsa20Cipher } from "../../protocol/packet_layer/portable_ciphers.ts";
import { XorCipher } from "../../protocol/packet_layer/xor_cipher.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { hostCrc32 } from "./host_crc32.ts";

export interface PacketSealOptions {
  readonly crypt: CryptName;
  /** As derived from the passphrase, 32 bytes; `none` and `null` do not look at it. */
  readonly key: Bytes;
  readonly random: Random;
  /** Never libcrypto: for tests and comparisons. */
  readonly isPortable?: boolean;
  /** Is told why there is no libcrypto. */
  explain?(reason: string): void;
}

/** One for any number of sessions under the same key. Disposing wipes the key. */
export async function openPacketSeal(options: PacketSealOptions): Promise<PacketSeal & Disposable> {
  const { crypt, random } = options;
  const key = cryptKey(crypt, options.key);
  const nonces = new Nonces(random);
  const checked = (cipher?: PacketCipher) => new CheckedSeal({ cipher, nonces, crc32: hostCrc32 });
  switch (crypt) {
    case "null":
      return bareSeal;
    case "none":
      return checked();
    case "xor":
      return checked(new XorCipher(await xorPad(key)));
    case "salsa20":
      return checked(new Salsa20Cipher(key));
    case "aes-128-gcm": {
      const native = await openNative(options);
      return native ? closingWith(native.gcm(key, nonces), native) : new GcmSeal(key, nonces);
    }
    default: {
      const native = await openNative(options);
      return native ? closingWith(checked(native.cfb(key)), native) : checked(new CfbCipher(key));
    }
  }
}

async function openNative({ isPortable = false, explain }: PacketSealOptions): Promise<PacketCiphers | undefined> {
  if (isPortable) return undefined;
  try {
    const { openPacketCiphers } = await import("../../native/packet_cipher.ts");
    return openPacketCiphers(explain ? { explain } : {});
  } catch (error) {
    explain?.(messageOf(error));
    return undefined;
  }
}

/** The seal, which closes its library with itself. */
function closingWith(seal: PacketSeal & Disposable, library: Disposable): PacketSeal & Disposable {
  return {
    headBytes: seal.headBytes,
    tailBytes: seal.tailBytes,
    seal: (slab, start, end) => seal.seal(slab, start, end),
    open: (slab, start, end) => seal.open(slab, start, end),
    [Symbol.dispose]() {
      seal[Symbol.dispose]();
      library[Symbol.dispose]();
    },
  };
}
