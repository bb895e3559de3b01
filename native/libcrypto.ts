/**
 * OpenSSL's libcrypto by FFI: the calls that `crypto.ts` needs, typed once. OpenSSL 3, or 1.1 where that is what there
 * is. Lengths of keys are `size_t`, which FFI takes fast only as a hoisted bigint.
 */

import { CulvertError, messageOf } from "../protocol/errors.ts";
import type { Bytes } from "../protocol/primitives.ts";
import { addressOf, cString } from "./libc.ts";

const symbols = {
  // int OPENSSL_init_crypto(uint64_t options, const OPENSSL_INIT_SETTINGS *settings)
  OPENSSL_init_crypto: { parameters: ["u64", "pointer"], result: "i32" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_free: { parameters: ["pointer"], result: "void" },
  EVP_CIPHER_CTX_reset: { parameters: ["pointer"], result: "i32" },
  EVP_chacha20_poly1305: { parameters: [], result: "pointer" },
  EVP_aes_128_ecb: { parameters: [], result: "pointer" },
  EVP_aes_192_ecb: { parameters: [], result: "pointer" },
  EVP_aes_256_ecb: { parameters: [], result: "pointer" },
  EVP_aes_128_cbc: { parameters: [], result: "pointer" },
  EVP_aes_192_cbc: { parameters: [], result: "pointer" },
  EVP_aes_256_cbc: { parameters: [], result: "pointer" },
  EVP_aes_128_gcm: { parameters: [], result: "pointer" },
  // int EVP_CipherInit_ex(ctx, cipher, engine, const unsigned char *key, const unsigned char *iv, int encrypt)
  EVP_CipherInit_ex: { parameters: ["pointer", "pointer", "pointer", "buffer", "buffer", "i32"], result: "i32" },
  // int EVP_CipherUpdate(ctx, unsigned char *out, int *outLength, const unsigned char *in, int inLength)
  EVP_CipherUpdate: { parameters: ["pointer", "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_CipherFinal_ex: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  // The same for packets, with addresses that are known, which FFI takes faster than buffers.
  initAt: {
    name: "EVP_CipherInit_ex",
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer", "i32"],
    result: "i32",
  },
  updateAt: {
    name: "EVP_CipherUpdate",
    parameters: ["pointer", "pointer", "pointer", "pointer", "i32"],
    result: "i32",
  },
  finalAt: { name: "EVP_CipherFinal_ex", parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  // int EVP_CIPHER_CTX_ctrl(ctx, int type, int argument, void *pointer)
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  // int EVP_CIPHER_CTX_get_params(ctx, OSSL_PARAM params[])
  EVP_CIPHER_CTX_get_params: { parameters: ["pointer", "pointer"], result: "i32", optional: true },
  EVP_CIPHER_CTX_set_params: { parameters: ["pointer", "pointer"], result: "i32", optional: true },
  // EVP_PKEY *EVP_PKEY_new_raw_private_key(int type, ENGINE *engine, const unsigned char *key, size_t length)
  EVP_PKEY_new_raw_private_key: { parameters: ["i32", "pointer", "buffer", "u64"], result: "pointer" },
  EVP_PKEY_new_raw_public_key: { parameters: ["i32", "pointer", "buffer", "u64"], result: "pointer" },
  EVP_PKEY_free: { parameters: ["pointer"], result: "void" },
  // EVP_PKEY_CTX *EVP_PKEY_CTX_new_from_name(OSSL_LIB_CTX *library, const char *name, const char *properties)
  EVP_PKEY_CTX_new_from_name: { parameters: ["pointer", "buffer", "pointer"], result: "pointer", optional: true },
  EVP_PKEY_fromdata_init: { parameters: ["pointer"], result: "i32", optional: true },
  // int EVP_PKEY_fromdata(ctx, EVP_PKEY **key, int selection, OSSL_PARAM params[])
  EVP_PKEY_fromdata: { parameters: ["pointer", "buffer", "i32", "buffer"], result: "i32", optional: true },
  EVP_PKEY_CTX_new: { parameters: ["pointer", "pointer"], result: "pointer" },
  EVP_PKEY_CTX_free: { parameters: ["pointer"], result: "void" },
  EVP_PKEY_derive_init: { parameters: ["pointer"], result: "i32" },
  EVP_PKEY_derive_set_peer: { parameters: ["pointer", "pointer"], result: "i32" },
  // int EVP_PKEY_derive(ctx, unsigned char *secret, size_t *length)
  EVP_PKEY_derive: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

export type Libcrypto = Deno.DynamicLibrary<typeof symbols>;
export type LibcryptoCalls = Libcrypto["symbols"];

export const LIBCRYPTO_NAMES: readonly string[] = ["libcrypto.so.3", "libcrypto.so.1.1"];

/**
 * OpenSSL is not to clean up when the process ends: threads of Workers may be ending at that moment, each with things of
 * its own to free, and the two have been seen to free the same memory.
 */
const OPENSSL_INIT_NO_ATEXIT = 0x00080000n;

/** The first of the libraries that loads, or why none did. */
export function loadLibcrypto(names: readonly string[] = LIBCRYPTO_NAMES): Libcrypto | { readonly reason: string } {
  const reasons: string[] = [];
  for (const name of names) {
    try {
      const library = Deno.dlopen(name, symbols);
      library.symbols.OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, null);
      return library;
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  return { reason: reasons.join("; ") };
}

/** One entry of an OSSL_PARAM array; the entry after the last is all zero. */
const PARAM_BYTES = 40;
/** Word offsets in an entry: the name's address, the type, the data's address, its size. */
export const PARAM = { name: 0, type: 2, data: 4, size: 6 } as const;
const OCTET_STRING = 5;

export interface Param {
  readonly name: string;
  /** Of fixed memory. */
  readonly data: Bytes;
}

/** An OSSL_PARAM array, with what it points to kept alive. */
export class Params {
  readonly bytes: Bytes;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly #pointedTo: Bytes[] = [];

  constructor(params: readonly Param[]) {
    this.bytes = fixedMemory((params.length + 1) * PARAM_BYTES);
    this.words = new Uint32Array(this.bytes.buffer);
    const addresses = new BigUint64Array(this.bytes.buffer);
    params.forEach(({ name, data }, index) => {
      const at = index * PARAM_BYTES / 4;
      const text = fixedMemory(name.length + 1);
      text.set(cString(name));
      this.#pointedTo.push(text, data);
      addresses[(at + PARAM.name) / 2] = addressOf(text);
      this.words[at + PARAM.type] = OCTET_STRING;
      addresses[(at + PARAM.data) / 2] = addressOf(data);
      this.words[at + PARAM.size] = data.length;
    });
  }
}

/** Memory that structures can point into: it never moves. Small typed arrays may, until their buffer is asked for. */
export function fixedMemory(size: number): Bytes {
  return new Uint8Array(new ArrayBuffer(size));
}

export function failed(action: string): CulvertError {
  return new CulvertError("libcrypto_failed", `Cannot ${action}: libcrypto refused`);
}
