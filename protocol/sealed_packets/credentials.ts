/**
 * Who may speak to a server of sealed packets: the server has one X25519 key, every client a secret of its own with a name.
 *
 *   server key      43 characters: the private key                       kept at the server alone
 *   named secret    name=43 characters                                   a line of the server's list of clients
 *   credential      43 characters . 43 characters                        what a client is given: server's public key, secret
 *
 * All in base64url without padding, so that a credential may stand in a URL where a user name stands. Out of its secret a
 * client makes the key that it proves itself with and a preshared key; the server makes the same, and knows it by the first.
 * The server's public key is no public knowledge: without it nobody can tell a hello from random bytes.
 */

import { Blake2s, BLAKE2S_BYTES } from "../blake2s.ts";
import { decodeBase64Url, encodeBase64Url } from "../encoding.ts";
import { CulvertError } from "../errors.ts";
import type { NoiseKeyPair } from "../noise_ik.ts";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import type { Random } from "../random.ts";
import { SEALED_HELLO_DOMAIN, signedBytes } from "../signing.ts";

/** What a client is given. */
export interface ClientCredential {
  readonly serverPublicKey: Bytes;
  readonly secret: Bytes;
}

/** One of the server's clients. */
export interface NamedSecret {
  readonly name: string;
  readonly secret: Bytes;
}

interface KeySuite {
  x25519PublicKey(privateKey: Bytes): Bytes;
}

/** What a secret gives. Disposing wipes it. */
export interface ClientKeys extends Disposable {
  readonly pair: NoiseKeyPair;
  readonly presharedKey: Bytes;
}

const NAME_RULE = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/;

/** A new server key or client secret, as text. */
export function drawSecretText(random: Random): string {
  return encodeBase64Url(random.fill(new Uint8Array(KEY_BYTES)));
}

/** Reads a server's private key. Throws a CulvertError `bad_key`. */
export function parseServerKey(suite: KeySuite, text: string): NoiseKeyPair {
  const privateKey = decodeKey(text);
  // The text is a secret, so it is not told.
  if (!privateKey) throw new CulvertError("bad_key", "Cannot use a server key: it must be 43 characters of base64url");
  return { privateKey, publicKey: suite.x25519PublicKey(privateKey) };
}

/** Reads `serverPublicKey.secret`. Throws a CulvertError `bad_key`. */
export function parseCredential(text: string): ClientCredential {
  const [first = "", second = "", ...more] = text.split(".");
  const serverPublicKey = decodeKey(first);
  const secret = decodeKey(second);
  if (serverPublicKey && secret && more.length === 0) return { serverPublicKey, secret };
  throw new CulvertError(
    "bad_key",
    "Cannot use a credential: it must be the server's public key, a dot and a secret, each 43 characters of base64url",
  );
}

export function formatCredential({ serverPublicKey, secret }: ClientCredential): string {
  return `${encodeBase64Url(serverPublicKey)}.${encodeBase64Url(secret)}`;
}

/** Reads `name=secret`. Throws a CulvertError `bad_key`. */
export function parseNamedSecret(text: string): NamedSecret {
  const at = text.indexOf("=");
  const name = text.slice(0, Math.max(0, at));
  const secret = decodeKey(text.slice(at + 1));
  if (!NAME_RULE.test(name)) {
    throw new CulvertError(
      "bad_key",
      "Cannot take a client: it must be name=secret, the name of letters, digits, _ . @ -",
    );
  }
  if (!secret) {
    throw new CulvertError("bad_key", `Cannot take the client ${name}: its secret must be 43 characters of base64url`);
  }
  return { name, secret };
}

/** The keys that come out of a client's secret. */
export function clientKeys(suite: KeySuite, secret: Bytes): ClientKeys {
  using hasher = new Blake2s();
  const derive = (use: string) => {
    const key = new Uint8Array(BLAKE2S_BYTES);
    hasher.start(BLAKE2S_BYTES, secret).update(signedBytes(SEALED_HELLO_DOMAIN, [use])).finish(key);
    return key;
  };
  const privateKey = derive("client key");
  const presharedKey = derive("preshared key");
  return {
    pair: { privateKey, publicKey: suite.x25519PublicKey(privateKey) },
    presharedKey,
    [Symbol.dispose]() {
      privateKey.fill(0);
      presharedKey.fill(0);
    },
  };
}

function decodeKey(text: string): Bytes | undefined {
  const bytes = decodeBase64Url(text);
  return bytes?.length === KEY_BYTES ? bytes : undefined;
}
