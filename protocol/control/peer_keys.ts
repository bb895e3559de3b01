/**
 * Whether the keys of a peer are its own, when somebody else passes them on: the peer id is that of the identity key, the
 * identity has signed the WireGuard key, and in a closed network the network key's certificate says that it has the role.
 * So a supernode that is captured cannot put a key of its own in an exit's or a client's place. Design §4.
 *
 * Asked by a client of the exit it is offered, and by an exit of the client it is told to serve, who may be a supernode
 * that terminates its clients' tunnels (`terminating_supernode.ts`).
 */

import { type CertificateRefusal, verifyCertificate } from "../certificate.ts";
import { decodeBase64, encodeBase64 } from "../encoding.ts";
import type { PeerKeys } from "../fields.ts";
import { type Identity, peerIdFits, verifyWireGuardBinding } from "../identity.ts";
import type { Primitives } from "../primitives.ts";
import type { ClosedNetwork, SupernodeRole } from "./auth.ts";
import type { ControlRole } from "./messages.ts";

/** What the keys of a peer have to prove. */
export interface PeerKeysCheck {
  /** What the peer is said to be. */
  readonly role: ControlRole | SupernodeRole;
  /** Where the peer is said to be; left out where that does not matter. */
  readonly region?: string;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** What hashes and verifies. */
  readonly primitives: Primitives;
  /** Left out in an open network, where nobody needs a certificate. */
  readonly network?: ClosedNetwork | undefined;
  /** Told what is wrong with a certificate that is refused. */
  readonly onBadCertificate?: ((refusal: CertificateRefusal) => void) | undefined;
}

/** Why keys are not believed. */
export type PeerKeysRefusal = "malformed" | "wrong_peer_id" | "bad_binding" | "no_certificate" | "bad_certificate";

/** What an identity shows of itself. */
export function peerKeysOf(identity: Identity, certificate?: string): PeerKeys {
  const { peerId, publicKey, wireguardKey, signature } = identity.wireguardBinding();
  return {
    peerId,
    publicKey: encodeBase64(publicKey),
    wireguardKey: encodeBase64(wireguardKey),
    wireguardSignature: encodeBase64(signature),
    ...(certificate !== undefined && { certificate }),
  };
}

/** Why they cannot be believed, or undefined. Never throws. */
export function refusalOfPeerKeys(keys: PeerKeys, check: PeerKeysCheck): PeerKeysRefusal | undefined {
  const { peerId, certificate } = keys;
  const { primitives, network } = check;
  const publicKey = decodeBase64(keys.publicKey);
  const wireguardKey = decodeBase64(keys.wireguardKey);
  const signature = decodeBase64(keys.wireguardSignature);
  if (!publicKey || !wireguardKey || !signature) return "malformed";
  if (!peerIdFits(peerId, publicKey, primitives)) return "wrong_peer_id";
  if (!verifyWireGuardBinding({ peerId, publicKey, wireguardKey, signature }, primitives)) return "bad_binding";
  if (!network) return undefined;
  if (certificate === undefined) return "no_certificate";
  const verdict = verifyCertificate(certificate, {
    networkPublicKey: network.networkPublicKey,
    peerId,
    role: check.role,
    ...(check.region !== undefined && { region: check.region }),
    nowMs: check.wallMs,
    primitives,
    ...(network.isRevoked && { isRevoked: network.isRevoked }),
  });
  if (verdict.ok) return undefined;
  check.onBadCertificate?.(verdict.reason);
  return "bad_certificate";
}
