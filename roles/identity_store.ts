/**
 * A peer's identity and its certificates in the state directory.
 *
 *   identity.json               the keys, made on first use and never overwritten
 *   certificate-<network id>    one line of text per closed network the peer belongs to
 */

import { z } from "zod";
import { type Certificate, encodeCertificate, parseCertificate } from "../protocol/certificate.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { generateSecrets, Identity } from "../protocol/identity.ts";
import type { Primitives } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import { corruptFile, decodeKeyFile, encodeKeyFile, keyText } from "./key_file.ts";
import type { LockOptions, StateDirectory } from "./state.ts";

const IDENTITY_FILE = "identity.json";
const CERTIFICATE_PREFIX = "certificate-";

const identityFile = z.object({ peerId: z.string(), identityKey: keyText, wireguardKey: keyText });

/** What making an identity takes. `random` must be unpredictable. */
export interface IdentityTools extends LockOptions {
  readonly random: Random;
  readonly primitives: Primitives;
}

/** The identity kept here, or undefined if there is none yet. Throws `corrupt_file` or `insecure_file`. */
export async function loadIdentity(state: StateDirectory, primitives: Primitives): Promise<Identity | undefined> {
  const bytes = await state.read(IDENTITY_FILE);
  if (!bytes) return undefined;
  const path = state.pathOf(IDENTITY_FILE);
  const { peerId, ...secrets } = decodeKeyFile(bytes, identityFile, path);
  const identity = new Identity(secrets, primitives);
  if (identity.peerId !== peerId) throw corruptFile(path, `its peer id must be that of its key, ${identity.peerId}`);
  return identity;
}

/** The identity kept here, made if there is none. Several processes that start at once get the same one. */
export async function loadOrCreateIdentity(
  state: StateDirectory,
  tools: IdentityTools,
): Promise<{ readonly identity: Identity; readonly created: boolean }> {
  const found = await loadIdentity(state, tools.primitives);
  if (found) return { identity: found, created: false };
  using lock = await state.lock(tools);
  const meanwhile = await loadIdentity(state, tools.primitives);
  if (meanwhile) return { identity: meanwhile, created: false };
  const secrets = generateSecrets(tools.random);
  const identity = new Identity(secrets, tools.primitives);
  const file = encodeKeyFile({
    peerId: identity.peerId,
    identityKey: encodeBase64(secrets.identityKey),
    wireguardKey: encodeBase64(secrets.wireguardKey),
  });
  await lock.create(IDENTITY_FILE, file);
  return { identity, created: true };
}

/** Keeps a certificate, in place of an older one of the same network. */
export async function storeCertificate(
  state: StateDirectory,
  certificate: Certificate,
  options: LockOptions,
): Promise<string> {
  const name = CERTIFICATE_PREFIX + certificate.networkId;
  using lock = await state.lock(options);
  await lock.replace(name, new TextEncoder().encode(encodeCertificate(certificate) + "\n"));
  return state.pathOf(name);
}

/** The certificates kept here, one per network. Throws `corrupt_file` for one that is none. */
export async function loadCertificates(state: StateDirectory): Promise<Certificate[]> {
  const certificates: Certificate[] = [];
  for (const name of await state.names()) {
    if (!name.startsWith(CERTIFICATE_PREFIX)) continue;
    const text = new TextDecoder().decode(await state.read(name)).trim();
    const certificate = parseCertificate(text);
    if (!certificate) throw corruptFile(state.pathOf(name), "it must be a certificate");
    certificates.push(certificate);
  }
  return certificates;
}
