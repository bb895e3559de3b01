/**
 * How an X25519 private key gets into libcrypto, by the calls of OpenSSL 3 or by those of 1.1.
 */

import { KEY_BYTES } from "../protocol/primitives.ts";
import type { Key } from "../protocol/wireguard/settings.ts";
import { cString } from "./libc.ts";
import { failed, fixedMemory, type LibcryptoCalls, Params } from "./libcrypto.ts";

export const EVP_PKEY_X25519 = 1034;
export const KEY_SIZE = BigInt(KEY_BYTES);
const EVP_PKEY_KEYPAIR = 0x87;

export interface PrivateKeys extends Disposable {
  /** An EVP_PKEY, to be freed by the caller. */
  load(privateKey: Key): Deno.PointerValue;
}

/**
 * A private key as one half of a pair whose other half is all zero. libcrypto otherwise computes the public half, which
 * takes as long as the agreement it is loaded for and is not used by it: 1.6 µs instead of 34.
 */
export class UncheckedPrivateKeys implements PrivateKeys {
  readonly #call: LibcryptoCalls;
  readonly #context: Deno.PointerValue;
  readonly #private = fixedMemory(KEY_BYTES);
  readonly #params = new Params([
    { name: "priv", data: this.#private },
    { name: "pub", data: fixedMemory(KEY_BYTES) },
  ]);
  readonly #made = new BigUint64Array(1);

  constructor(call: LibcryptoCalls) {
    this.#call = call;
    this.#context = call.EVP_PKEY_CTX_new_from_name!(null, cString("X25519"), null);
    if (call.EVP_PKEY_fromdata_init!(this.#context) !== 1) throw failed("prepare for private keys");
  }

  load(privateKey: Key): Deno.PointerValue {
    this.#private.set(privateKey);
    this.#made[0] = 0n;
    const params = this.#params.bytes;
    const isMade = this.#call.EVP_PKEY_fromdata!(this.#context, this.#made, EVP_PKEY_KEYPAIR, params) === 1;
    this.#private.fill(0);
    if (!isMade) throw failed("load a private key");
    return Deno.UnsafePointer.create(this.#made[0]);
  }

  [Symbol.dispose](): void {
    this.#call.EVP_PKEY_CTX_free(this.#context);
  }
}

export class RawPrivateKeys implements PrivateKeys {
  readonly #call: LibcryptoCalls;

  constructor(call: LibcryptoCalls) {
    this.#call = call;
  }

  load(privateKey: Key): Deno.PointerValue {
    const key = this.#call.EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, null, privateKey, KEY_SIZE);
    if (key === null) throw failed("load a private key");
    return key;
  }

  [Symbol.dispose](): void {}
}
