/**
 * Certificates of closed networks. A network key, kept offline, says which peer may hold which roles and where, so that
 * not even a captured supernode can invent an exit. Design §4. One line of text:
 *
 *   culvert-cert-v1.<base64url payload>.<base64url Ed25519 signature over the payload>
 *
 * The payload is `signedBytes(CERTIFICATE_DOMAIN, …)`, hence canonical: networkId, peerId, roles (sorted, each once),
 * region, notBeforeMs, notAfterMs, serial. Version 1 is in the prefix and in the domain.
 *
 * Not here: where certificates and lists of revoked ones are kept.
 */

import { decodeBase64Url, encodeBase32, encodeBase64Url } from "./encoding.ts";
import { CulvertError } from "./errors.ts";
import { isPeerId, peerIdOf } from "./identity.ts";
import { ED25519_SIGNATURE_BYTES, type Primitives } from "./primitives.ts";
import type { Random } from "./random.ts";
import { CERTIFICATE_DOMAIN, sign, signedBytes, splitSignedBytes, type Statement } from "./signing.ts";

/** The region of a certificate that is good everywhere. */
export const ANY_REGION = "*";

const PREFIX = "culvert-cert-v1";
/** Far above any real one: sixteen roles of the longest name and a region come to about 1,200 characters. */
const MAX_TEXT_CHARS = 2048;
const MAX_ROLES = 16;
const SERIAL_BYTES = 10;
/** How far the issuer's clock may be ahead of the verifier's. The end of a certificate gets no such grace. */
const CLOCK_SKEW_MS = 60_000;
/** The last instant a JavaScript Date can show. */
const MAX_TIME_MS = 8.64e15;

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
const SERIAL = /^[a-z2-7]{16}$/;

/** What the network key vouches for. */
export interface CertificateClaims {
  /** The network's name: `networkIdOf` its public key. */
  readonly networkId: string;
  /** Whom it is for. */
  readonly peerId: string;
  /** Sorted, each once, at least one. */
  readonly roles: readonly string[];
  /** A region's name, or `ANY_REGION`. */
  readonly region: string;
  /** Milliseconds since 1970, as all times here. */
  readonly notBeforeMs: number;
  /** The first millisecond at which it no longer counts. */
  readonly notAfterMs: number;
  /** Names this certificate alone, for revocation. */
  readonly serial: string;
}

/** A certificate whose form is right; `verifyCertificate` says whether to believe it. */
export interface Certificate extends CertificateClaims {
  /** Of the form, not of what it allows. */
  readonly version: 1;
  /** The network key's, over the claims under `CERTIFICATE_DOMAIN`. */
  readonly signature: Uint8Array;
}

/** What the issuer decides; the network's id and the serial number are added. */
export interface CertificateRequest {
  /** Whom it is for. */
  readonly peerId: string;
  /** What the peer may be; at least one, at most 16. */
  readonly roles: readonly string[];
  /** Where; anywhere unless given. */
  readonly region?: string;
  /** From when on; milliseconds since 1970. */
  readonly notBeforeMs: number;
  /** The first millisecond at which it no longer counts. */
  readonly notAfterMs: number;
}

/** What the issuer holds. `random` must be unpredictable. */
export interface Issuer {
  /** The Ed25519 seed that is kept offline. */
  readonly networkKey: Uint8Array;
  /** What signs and hashes. */
  readonly primitives: Primitives;
  /** Where serial numbers come from. */
  readonly random: Random;
}

/** Signs a certificate. Throws `invalid_certificate` for a request that cannot be one. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer): Certificate {
  const { primitives, networkKey, random } = issuer;
  const claims: CertificateClaims = {
    networkId: networkIdOf(primitives.ed25519PublicKey(networkKey), primitives),
    peerId: request.peerId,
    roles: [...new Set(request.roles)].sort(),
    region: request.region ?? ANY_REGION,
    notBeforeMs: request.notBeforeMs,
    notAfterMs: request.notAfterMs,
    serial: encodeBase32(random.fill(new Uint8Array(SERIAL_BYTES))),
  };
  const problem = problemWith(claims);
  if (problem) throw new CulvertError("invalid_certificate", `Cannot issue a certificate: ${problem}`);
  return { version: 1, ...claims, signature: sign(statementOf(claims), networkKey, primitives) };
}

/** A network's name: made from its public key as a peer id is. */
export function networkIdOf(networkPublicKey: Uint8Array, primitives: Primitives): string {
  return peerIdOf(networkPublicKey, primitives);
}

/** The text form: one line, `culvert-cert-v1.PAYLOAD.SIGNATURE`. */
export function encodeCertificate(certificate: Certificate): string {
  const { domain, fields } = statementOf(certificate);
  return `${PREFIX}.${encodeBase64Url(signedBytes(domain, fields))}.${encodeBase64Url(certificate.signature)}`;
}

/** Reads the text form; undefined for anything `encodeCertificate` does not give. The signature is not checked. */
export function parseCertificate(text: string): Certificate | undefined {
  if (text.length > MAX_TEXT_CHARS) return undefined;
  const [prefix, payloadText, signatureText, ...rest] = text.split(".");
  if (prefix !== PREFIX || payloadText === undefined || signatureText === undefined || rest.length > 0) {
    return undefined;
  }
  const payload = decodeBase64Url(payloadText);
  const signature = decodeBase64Url(signatureText);
  if (!payload || signature?.length !== ED25519_SIGNATURE_BYTES) return undefined;
  const claims = claimsOf(payload);
  return claims && { version: 1, ...claims, signature };
}

/** What a certificate has to prove, and to whom. */
export interface CertificateCheck {
  /** The key that must have signed it. */
  readonly networkPublicKey: Uint8Array;
  /** Who shows it. */
  readonly peerId: string;
  /** What the peer wants to be. */
  readonly role: string;
  /** Left out where no region matters. */
  readonly region?: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** What hashes and verifies. */
  readonly primitives: Primitives;
  /** A list of revoked serials and peers, once there is one. Asked last, of authentic certificates only. */
  readonly isRevoked?: (claims: CertificateClaims) => boolean;
}

/** Why a certificate does not do. */
export const CERTIFICATE_REFUSALS = [
  "malformed",
  "wrong_network",
  "bad_signature",
  "wrong_peer",
  "wrong_role",
  "wrong_region",
  "not_yet_valid",
  "expired",
  "revoked",
] as const;
/** One of `CERTIFICATE_REFUSALS`. */
export type CertificateRefusal = typeof CERTIFICATE_REFUSALS[number];

/** What `verifyCertificate` says of a text. */
export type CertificateVerdict =
  | { readonly ok: true; readonly certificate: Certificate }
  | { readonly ok: false; readonly reason: CertificateRefusal };

/** Whether the text proves that the peer may hold the role in this network, now. Never throws. */
export function verifyCertificate(text: string, check: CertificateCheck): CertificateVerdict {
  const certificate = parseCertificate(text);
  if (!certificate) return { ok: false, reason: "malformed" };
  const reason = refusalOf(certificate, check);
  return reason ? { ok: false, reason } : { ok: true, certificate };
}

/** Whether the network key signed it: who, where and when are not looked at. */
export function isSignedBy(certificate: Certificate, networkPublicKey: Uint8Array, primitives: Primitives): boolean {
  const { domain, fields } = statementOf(certificate);
  return primitives.ed25519Verify(certificate.signature, signedBytes(domain, fields), networkPublicKey);
}

/** Cheap questions first: the signature is checked only when everything in the text would do. */
function refusalOf(certificate: Certificate, check: CertificateCheck): CertificateRefusal | undefined {
  const { region, notBeforeMs, notAfterMs } = certificate;
  if (certificate.networkId !== networkIdOf(check.networkPublicKey, check.primitives)) return "wrong_network";
  if (certificate.peerId !== check.peerId) return "wrong_peer";
  if (!certificate.roles.includes(check.role)) return "wrong_role";
  if (check.region !== undefined && region !== ANY_REGION && region !== check.region) return "wrong_region";
  if (check.nowMs + CLOCK_SKEW_MS < notBeforeMs) return "not_yet_valid";
  if (check.nowMs >= notAfterMs) return "expired";
  if (!isSignedBy(certificate, check.networkPublicKey, check.primitives)) return "bad_signature";
  return check.isRevoked?.(certificate) ? "revoked" : undefined;
}

function statementOf(claims: CertificateClaims): Statement {
  const { networkId, peerId, roles, region, notBeforeMs, notAfterMs, serial } = claims;
  return { domain: CERTIFICATE_DOMAIN, fields: [networkId, peerId, roles, region, notBeforeMs, notAfterMs, serial] };
}

function claimsOf(payload: Uint8Array): CertificateClaims | undefined {
  const parts = splitSignedBytes(payload, 8);
  if (parts?.length !== 8) return undefined;
  const [domain, networkId, peerId, roleList, region, notBefore, notAfter, serial] = parts as [
    ...[Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array],
  ];
  const roles = splitSignedBytes(roleList, MAX_ROLES);
  if (textOf(domain) !== CERTIFICATE_DOMAIN || !roles) return undefined;
  const claims: CertificateClaims = {
    networkId: textOf(networkId),
    peerId: textOf(peerId),
    roles: roles.map(textOf),
    region: textOf(region),
    notBeforeMs: numberOf(notBefore),
    notAfterMs: numberOf(notAfter),
    serial: textOf(serial),
  };
  return problemWith(claims) === undefined ? claims : undefined;
}

/** Bytes that are not UTF-8 become U+FFFD, and a byte-order mark stays, both of which no name may contain. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** A u64 as a number, or -1 when it is not one; those above 2^53 are too late to be a time in any case. */
function numberOf(bytes: Uint8Array): number {
  if (bytes.length !== 8) return -1;
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
}

/** What no certificate may say, in words; undefined when all is well. */
function problemWith(claims: CertificateClaims): string | undefined {
  const { networkId, peerId, roles, region, notBeforeMs, notAfterMs, serial } = claims;
  if (!isPeerId(networkId)) return `network id must be 26 characters of base32, got ${quote(networkId)}`;
  if (!isPeerId(peerId)) return `peer id must be 26 characters of base32, got ${quote(peerId)}`;
  if (roles.length === 0 || roles.length > MAX_ROLES) return `roles must be 1 to ${MAX_ROLES}, got ${roles.length}`;
  for (const [at, role] of roles.entries()) {
    if (!NAME.test(role)) return `role must be lower-case letters, digits and hyphens, got ${quote(role)}`;
    if (at > 0 && role <= roles[at - 1]!) return `roles must be sorted and each given once, got ${quote(role)}`;
  }
  if (region !== ANY_REGION && !NAME.test(region)) {
    return `region must be "${ANY_REGION}" or lower-case letters, digits and hyphens, got ${quote(region)}`;
  }
  if (!isTime(notBeforeMs)) return `start must be a time after 1970 in whole milliseconds, got ${notBeforeMs}`;
  if (!isTime(notAfterMs) || notAfterMs <= notBeforeMs) {
    return `end must be after the start ${notBeforeMs}, in whole milliseconds, got ${notAfterMs}`;
  }
  return SERIAL.test(serial) ? undefined : `serial must be 16 characters of base32, got ${quote(serial)}`;
}

function isTime(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0 && ms <= MAX_TIME_MS;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
