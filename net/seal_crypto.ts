/**
 * The fastest cryptography for sealed streams that this host has: libcrypto where FFI is allowed and it is installed,
 * otherwise `node:crypto`.
 *
 *   using crypto = await openSealCrypto({ explain: (reason) => log.debug("No libcrypto", { reason }) });
 */

import { messageOf } from "../protocol/errors.ts";
import type { WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import { hostCrypto } from "./host_aead.ts";

export interface SealCryptoOptions {
  /** Is told why there is no libcrypto. */
  explain?(reason: string): void;
}

/** Disposing wipes every key it holds. Streams that use it must be closed before. */
export async function openSealCrypto(options: SealCryptoOptions = {}): Promise<WireGuardCrypto & Disposable> {
  try {
    const { openLibcrypto } = await import("../native/crypto.ts");
    const native = openLibcrypto(options);
    if (native) return native;
  } catch (error) {
    options.explain?.(messageOf(error));
  }
  return { ...hostCrypto(), [Symbol.dispose]() {} };
}
