/**
 * How the tag of a sealed packet gets out of a cipher context and into it, by the calls of OpenSSL 3 or by those of 1.1.
 */

import type { Slab } from "../protocol/slab.ts";
import { TAG_BYTES } from "../protocol/wireguard/constants.ts";
import { addressOf } from "./libc.ts";
import { fixedMemory, type LibcryptoCalls, PARAM, Params } from "./libcrypto.ts";

const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;

export interface Tags {
  /** Writes the tag of what was sealed to the slab. */
  read(context: Deno.PointerValue, slab: Slab, offset: number): boolean;
  /** Sets the tag that what is opened must have. */
  write(context: Deno.PointerValue, slab: Slab, offset: number): boolean;
}

/** By a parameter whose address is patched as two words: no bigint, no view. */
export class ParamTags implements Tags {
  readonly #call: LibcryptoCalls;
  readonly #param = new Params([{ name: "tag", data: fixedMemory(TAG_BYTES) }]);
  readonly #paramPointer = Deno.UnsafePointer.of(this.#param.bytes);
  /** The slab whose address is known. */
  #slab: Slab | undefined;
  #baseLow = 0;
  #baseHigh = 0;

  constructor(call: LibcryptoCalls) {
    this.#call = call;
  }

  read(context: Deno.PointerValue, slab: Slab, offset: number): boolean {
    this.#pointAt(slab, offset);
    return this.#call.EVP_CIPHER_CTX_get_params!(context, this.#paramPointer) === 1;
  }

  write(context: Deno.PointerValue, slab: Slab, offset: number): boolean {
    this.#pointAt(slab, offset);
    return this.#call.EVP_CIPHER_CTX_set_params!(context, this.#paramPointer) === 1;
  }

  #pointAt(slab: Slab, offset: number): void {
    if (slab !== this.#slab) {
      const address = addressOf(slab.bytes);
      this.#baseLow = Number(address & 0xffffffffn);
      this.#baseHigh = Number(address >> 32n);
      this.#slab = slab;
    }
    const low = this.#baseLow + offset;
    this.#param.words[PARAM.data] = low;
    this.#param.words[PARAM.data + 1] = low < 2 ** 32 ? this.#baseHigh : this.#baseHigh + 1;
  }
}

export class ControlTags implements Tags {
  readonly #call: LibcryptoCalls;

  constructor(call: LibcryptoCalls) {
    this.#call = call;
  }

  read(context: Deno.PointerValue, slab: Slab, offset: number): boolean {
    return this.#call.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, slab.from(offset)) === 1;
  }

  write(context: Deno.PointerValue, slab: Slab, offset: number): boolean {
    return this.#call.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, slab.from(offset)) === 1;
  }
}
