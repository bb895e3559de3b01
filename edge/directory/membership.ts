/**
 * Whether a registration is its signer's to make: it speaks for nobody else, and in a closed network the network key
 * has certified its role and region. Design §4.
 */

import { parseCertificate, verifyCertificate } from "../../protocol/certificate.ts";
import type { RelayGateway } from "../../protocol/directory.ts";
import { encodeBase64 } from "../../protocol/encoding.ts";
import type { RequestSignature } from "../../protocol/http_signature.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { isOwnSealingKey } from "../../protocol/sealing_key.ts";
import { Problem } from "../problem.ts";

export interface MembershipDeps {
  readonly primitives: Primitives;
  /** The key of the closed network; an open one when left out. */
  readonly networkPublicKey?: Uint8Array | undefined;
}

export interface Claim {
  readonly peerId: string;
  /** In base64. */
  readonly publicKey: string;
  readonly role: string;
  readonly region: string;
  readonly certificate: string | undefined;
}

/** The problem with a claim that is not good enough, or undefined. */
export function refusalOfClaim(
  claim: Claim,
  signature: RequestSignature,
  deps: MembershipDeps & { readonly nowMs: number },
): Problem | undefined {
  if (claim.peerId !== signature.peerId || claim.publicKey !== encodeBase64(signature.publicKey)) {
    return new Problem("wrong_peer", `Cannot register: it must be for its signer, ${signature.peerId}`);
  }
  const { networkPublicKey, primitives, nowMs } = deps;
  if (!networkPublicKey) return undefined;
  const { role, region, certificate, peerId } = claim;
  if (certificate === undefined) {
    return new Problem(
      "no_certificate",
      `Cannot register: this network is closed, so a certificate for ${role} is needed`,
    );
  }
  const verdict = verifyCertificate(certificate, { networkPublicKey, peerId, role, region, nowMs, primitives });
  if (verdict.ok) return undefined;
  return new Problem("bad_certificate", `Cannot register: the certificate must fit, got ${verdict.reason}`);
}

/** Whether a record that was let in may still be shown: heartbeats must not outlive the certificate. */
export function isStillCertified(
  record: { readonly certificate?: string | undefined },
  { networkPublicKey, nowMs }: { readonly networkPublicKey?: Uint8Array | undefined; readonly nowMs: number },
): boolean {
  if (!networkPublicKey) return true;
  const certificate = record.certificate === undefined ? undefined : parseCertificate(record.certificate);
  return certificate !== undefined && nowMs < certificate.notAfterMs;
}

/** The problem with a gateway that a relay names: it has not signed anything here but its key, and its certificate. */
export function refusalOfGateway(
  gateway: RelayGateway,
  { networkPublicKey, primitives, nowMs }: MembershipDeps & { readonly nowMs: number },
): Problem | undefined {
  const { gatewayId: peerId, certificate } = gateway;
  if (!isOwnSealingKey(peerId, gateway, primitives)) {
    return new Problem("bad_binding", `Cannot register: the sealing key of ${peerId} must be signed by its identity`);
  }
  if (!networkPublicKey) return undefined;
  if (certificate === undefined) {
    return new Problem("no_certificate", `Cannot register: gateway ${peerId} needs a certificate of this network`);
  }
  const verdict = verifyCertificate(certificate, { networkPublicKey, peerId, role: "gateway", nowMs, primitives });
  if (verdict.ok) return undefined;
  return new Problem(
    "bad_certificate",
    `Cannot register: the certificate of ${peerId} must fit, got ${verdict.reason}`,
  );
}
