/**
 * Who a peer is: an Ed25519 identity key, whose hash is its name, and an X25519 key for WireGuard that the identity
 * signs, so that a supernode which passes keys on cannot put its own in their place. Design §1, §4.
 *
 *   peer id = base32(SHA-256(Ed25519 public key)[0..16])      26 characters, lower case, no padding
 *
 * Where the keys are kept is `roles/identity_store.ts`.
 */

import { encodeBase32 } from "./encoding.ts";
import { CulvertError } from "./errors.ts";
import { type Bytes, KEY_BYTES, type Primitives } from "./primitives.ts";
import type { Random } from "./random.ts";
import { sign, type Statement, verify, WIREGUARD_KEY_DOMAIN } from "./signing.ts";

const PEER_ID_HASH_BYTES = 16;

/** 16 bytes are 128 bits, so the last of the 26 characters carries three of them and can only be one of eight. */
const PEER_ID = /^[a-z2-7]{25}[aeimquy4]$/;

/** The name that goes with an identity's public key. A network's id is made from its key in the same way. */
export function peerIdOf(publicKey: Uint8Array, primitives: Primitives): string {
  return encodeBase32(primitives.sha256(publicKey).subarray(0, PEER_ID_HASH_BYTES));
}

/** Whether the text could be a peer id. */
export function isPeerId(text: string): boolean {
  return PEER_ID.test(text);
}

/** Whether the name belongs to the key. To be asked of every pair that arrives from elsewhere. */
export function peerIdFits(peerId: string, publicKey: Uint8Array, primitives: Primitives): boolean {
  return publicKey.length === KEY_BYTES && peerIdOf(publicKey, primitives) === peerId;
}

/** The two secrets an identity is made of; everything else follows from them. */
export interface IdentitySecrets {
  /** The Ed25519 seed, of which the peer id is made. */
  readonly identityKey: Bytes;
  /** The X25519 key of WireGuard and of sealed streams. */
  readonly wireguardKey: Bytes;
}

/** The identity's word that this WireGuard key is its own. */
export interface WireGuardBinding {
  /** Whose it is. */
  readonly peerId: string;
  /** The identity's Ed25519 key. */
  readonly publicKey: Uint8Array;
  /** The X25519 key that is its own. */
  readonly wireguardKey: Uint8Array;
  /** The identity's, over the name and the WireGuard key. */
  readonly signature: Uint8Array;
}

/** Whether the name, the key and the signature of a binding all fit together. */
export function verifyWireGuardBinding(binding: WireGuardBinding, primitives: Primitives): boolean {
  return binding.wireguardKey.length === KEY_BYTES &&
    peerIdFits(binding.peerId, binding.publicKey, primitives) &&
    verify(bindingStatement(binding.peerId, binding.wireguardKey), binding, primitives);
}

function bindingStatement(peerId: string, wireguardKey: Uint8Array): Statement {
  return { domain: WIREGUARD_KEY_DOMAIN, fields: [peerId, wireguardKey] };
}

/** New secrets. `random` must be unpredictable. The WireGuard key is clamped (RFC 7748 §5), as `wg genkey` does. */
export function generateSecrets(random: Random): IdentitySecrets {
  const wireguardKey = random.fill(new Uint8Array(KEY_BYTES));
  wireguardKey[0]! &= 0xf8;
  wireguardKey[31] = wireguardKey[31]! & 0x7f | 0x40;
  return { identityKey: random.fill(new Uint8Array(KEY_BYTES)), wireguardKey };
}

/** A peer's own identity. The secrets are private fields, so printing or serialising one shows only what is public. */
export class Identity {
  /** Its name. */
  readonly peerId: string;
  /** What its signatures are checked with. */
  readonly publicKey: Bytes;
  /** What others seal to. */
  readonly wireguardPublicKey: Bytes;
  readonly #secrets: IdentitySecrets;
  readonly #primitives: Primitives;
  #binding: WireGuardBinding | undefined;

  /** Of secrets that are kept somewhere, or new ones of `generateSecrets`. */
  constructor(secrets: IdentitySecrets, primitives: Primitives) {
    for (const key of [secrets.identityKey, secrets.wireguardKey]) {
      if (key.length !== KEY_BYTES) {
        throw new CulvertError(
          "invalid_key",
          `Cannot use an identity: a secret key must be ${KEY_BYTES} bytes, got ${key.length}`,
        );
      }
    }
    this.#secrets = secrets;
    this.#primitives = primitives;
    this.publicKey = primitives.ed25519PublicKey(secrets.identityKey);
    this.wireguardPublicKey = primitives.x25519PublicKey(secrets.wireguardKey);
    this.peerId = peerIdOf(this.publicKey, primitives);
  }

  /**
   * Its word for a statement.
   *
   * @internal
   */
  sign(statement: Statement): Bytes {
    return sign(statement, this.#secrets.identityKey, this.#primitives);
  }

  /**
   * Signs what RFC 9421 says is to be signed of a request (`http_signature.ts`). It is text that begins with a quotation
   * mark; read as a statement, its domain would be half a gigabyte long, so neither can stand for the other.
   */
  signHttp(signatureBase: Uint8Array): Bytes {
    return this.#primitives.ed25519Sign(signatureBase, this.#secrets.identityKey);
  }

  /**
   * Made once: the same words have the same signature (RFC 8032).
   *
   * @internal
   */
  wireguardBinding(): WireGuardBinding {
    return this.#binding ??= {
      peerId: this.peerId,
      publicKey: this.publicKey,
      wireguardKey: this.wireguardPublicKey,
      signature: this.sign(bindingStatement(this.peerId, this.wireguardPublicKey)),
    };
  }

  /** For the store that keeps them and the WireGuard device that needs one; for nothing else. */
  secrets(): IdentitySecrets {
    return this.#secrets;
  }
}
