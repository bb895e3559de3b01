/**
 * Who opens a control stream, proven both ways with one message each. Design §4.
 *
 *   auth.request    the peer signs peerId ‖ role ‖ region ‖ nonce ‖ timestampMs ‖ wireguardKey ‖ supernodeId
 *   auth.response   the supernode signs supernodeId ‖ region ‖ peerId ‖ nonce
 *
 * A request is good at one supernode, for a minute either way, once. Questions are asked in the order of their cost, and
 * a nonce is remembered only once the signature is good, and in a closed network the certificate, so that a stranger can
 * neither make the supernode work much nor fill its memory. In a closed network both sides show the network key's
 * certificate for their role.
 *
 * Not here: how often one may try (`auth_limits.ts`), the memory of nonces (`nonces.ts`).
 */

import { type CertificateRefusal, verifyCertificate } from "../certificate.ts";
import { decodeBase64, decodeBase64Url, encodeBase64, encodeBase64Url } from "../encoding.ts";
import { type Identity, peerIdFits, verifyWireGuardBinding } from "../identity.ts";
import type { Primitives } from "../primitives.ts";
import type { Random } from "../random.ts";
import { AUTH_ANSWER_DOMAIN, AUTH_DOMAIN, authFields, type Statement, verify } from "../signing.ts";
import type { AuthAccepted, AuthRefusal, AuthRequest, ControlRole, Resume } from "./messages.ts";

/** How far the clocks of a peer and a supernode may be apart. */
export const AUTH_SKEW_MS = 60_000;
/** How long after its timestamp a nonce is remembered: longer than it may pass, by what a store may take for it. */
export const NONCE_KEPT_MS = AUTH_SKEW_MS + 10_000;
/** What a supernode is to its peers, and in certificates. */
export type SupernodeRole = "supernode";
export const SUPERNODE_ROLE: SupernodeRole = "supernode";
const NONCE_BYTES = 16;

/** A closed network, as those in it see it. */
export interface ClosedNetwork {
  /** The Ed25519 key that certificates are checked with. */
  readonly networkPublicKey: Uint8Array;
  /** Whether the certificate has been taken back. */
  readonly isRevoked?: (claims: { readonly peerId: string; readonly serial: string }) => boolean;
}

export interface AuthRequestOptions {
  readonly role: ControlRole;
  readonly region: string;
  readonly supernodeId: string;
  readonly timestampMs: number;
  /** Must be unpredictable. */
  readonly random: Random;
  readonly certificate?: string | undefined;
  readonly resume?: Resume | undefined;
  readonly version?: string | undefined;
}

/** The first message of a peer's control stream. */
export function makeAuthRequest(identity: Identity, options: AuthRequestOptions): AuthRequest {
  const { role, region, supernodeId, timestampMs, random, certificate, resume, version } = options;
  const nonce = random.fill(new Uint8Array(NONCE_BYTES));
  const binding = identity.wireguardBinding();
  const { peerId, wireguardKey } = binding;
  const fields = authFields({ peerId, role, region, nonce, timestampMs, wireguardKey, supernodeId });
  return {
    type: "auth.request",
    role,
    region,
    supernodeId,
    peerId,
    publicKey: encodeBase64(binding.publicKey),
    wireguardKey: encodeBase64(wireguardKey),
    wireguardSignature: encodeBase64(binding.signature),
    nonce: encodeBase64Url(nonce),
    timestampMs,
    signature: encodeBase64(identity.sign({ domain: AUTH_DOMAIN, fields })),
    ...(certificate !== undefined && { certificate }),
    ...(resume !== undefined && { resume }),
    ...(version !== undefined && { version }),
  };
}

/** Remembers nonces; `nonces.ts` is one. */
export interface NonceMemory {
  /** What ended before this may have been forgotten; it never goes down. */
  readonly forgottenBeforeMs: number;
  /** Remembers it until the time has passed. False if it is remembered already, undefined if there is no room. */
  remember(nonce: string, untilMs: number, nowMs: number): boolean | undefined;
}

export interface AuthCheck {
  readonly supernodeId: string;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  readonly primitives: Primitives;
  readonly nonces: NonceMemory;
  readonly network?: ClosedNetwork | undefined;
  /** Peers an administrator has turned away. */
  readonly isRevokedPeer?: ((peerId: string) => boolean) | undefined;
  /** Told what is wrong with a certificate that is refused. */
  readonly onBadCertificate?: ((refusal: CertificateRefusal) => void) | undefined;
  /** Asked once it is sure that the peer itself has sent this, now: nobody can use up another's share. */
  readonly allowPeer?: ((peerId: string) => boolean) | undefined;
}

/**
 * The time by which timestamps are judged: the wall clock's, unless that was set back so far that what has been
 * forgotten would pass again. Who is told this time, as who is `stale` is, passes.
 */
export function authTimeMs(wallMs: number, { forgottenBeforeMs }: NonceMemory): number {
  return Math.max(wallMs, forgottenBeforeMs - NONCE_KEPT_MS + AUTH_SKEW_MS);
}

/** Why the request is not good enough, or undefined. Never throws. */
export function refusalOfAuth(request: AuthRequest, check: AuthCheck): AuthRefusal | undefined {
  const { peerId, timestampMs, nonce } = request;
  const { primitives, wallMs, nonces } = check;
  if (request.supernodeId !== check.supernodeId) return "wrong_supernode";
  if (Math.abs(timestampMs - authTimeMs(wallMs, nonces)) > AUTH_SKEW_MS) return "stale";
  const publicKey = decodeBase64(request.publicKey);
  const wireguardKey = decodeBase64(request.wireguardKey);
  const signature = decodeBase64(request.signature);
  const bindingSignature = decodeBase64(request.wireguardSignature);
  const nonceBytes = decodeBase64Url(nonce);
  if (!publicKey || !wireguardKey || !signature || !bindingSignature || !nonceBytes) return "malformed";
  if (!peerIdFits(peerId, publicKey, primitives)) return "wrong_peer_id";
  if (check.isRevokedPeer?.(peerId)) return "revoked";
  if (check.network && request.certificate === undefined) return "no_certificate";
  const fields = authFields({ ...request, nonce: nonceBytes, wireguardKey });
  if (!verify({ domain: AUTH_DOMAIN, fields }, { signature, publicKey }, primitives)) return "bad_signature";
  const refusal = check.network && refusalOfCertificate(request, check.network, check);
  if (refusal) return refusal;
  const isNew = nonces.remember(`${peerId} ${nonce}`, timestampMs + NONCE_KEPT_MS, wallMs);
  if (isNew === undefined) return "busy";
  if (!isNew) return "replayed";
  if (check.allowPeer?.(peerId) === false) return "rate_limited";
  const binding = { peerId, publicKey, wireguardKey, signature: bindingSignature };
  return verifyWireGuardBinding(binding, primitives) ? undefined : "bad_binding";
}

function refusalOfCertificate(request: AuthRequest, network: ClosedNetwork, check: AuthCheck): AuthRefusal | undefined {
  const verdict = verifyCertificate(request.certificate!, {
    networkPublicKey: network.networkPublicKey,
    peerId: request.peerId,
    role: request.role,
    region: request.region,
    nowMs: check.wallMs,
    primitives: check.primitives,
    ...(network.isRevoked && { isRevoked: network.isRevoked }),
  });
  if (verdict.ok) return undefined;
  if (verdict.reason === "revoked") return "revoked";
  check.onBadCertificate?.(verdict.reason);
  return "bad_certificate";
}

export interface AuthAnswerOptions {
  readonly region: string;
  readonly serverTimeMs: number;
  readonly pingEveryMs: number;
  readonly timeoutMs: number;
  readonly relayToken?: string | undefined;
  readonly certificate?: string | undefined;
}

/** The supernode's answer to a request it takes. */
export function makeAuthAnswer(
  request: Pick<AuthRequest, "peerId" | "nonce">,
  identity: Identity,
  options: AuthAnswerOptions,
): AuthAccepted {
  const { region, serverTimeMs, pingEveryMs, timeoutMs, relayToken, certificate } = options;
  const supernodeId = identity.peerId;
  return {
    type: "auth.response",
    ok: true,
    supernodeId,
    publicKey: encodeBase64(identity.publicKey),
    signature: encodeBase64(identity.sign(answerStatement({ supernodeId, region }, request))),
    region,
    serverTimeMs,
    pingEveryMs,
    timeoutMs,
    ...(relayToken !== undefined && { relayToken }),
    ...(certificate !== undefined && { certificate }),
  };
}

export interface AuthAnswerCheck {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  readonly primitives: Primitives;
  readonly network?: ClosedNetwork | undefined;
  /** Told what is wrong with a certificate that is refused. */
  readonly onBadCertificate?: ((refusal: CertificateRefusal) => void) | undefined;
}

export type AuthAnswerRefusal = "wrong_supernode" | "bad_signature" | "no_certificate" | "bad_certificate";

/** Why the answer does not prove that the supernode the request was meant for has given it, or undefined. */
export function refusalOfAuthAnswer(
  answer: AuthAccepted,
  request: Pick<AuthRequest, "peerId" | "nonce" | "supernodeId">,
  check: AuthAnswerCheck,
): AuthAnswerRefusal | undefined {
  const { primitives, network } = check;
  const { supernodeId, certificate } = answer;
  const publicKey = decodeBase64(answer.publicKey);
  const signature = decodeBase64(answer.signature);
  if (supernodeId !== request.supernodeId || !publicKey) return "wrong_supernode";
  if (!peerIdFits(supernodeId, publicKey, primitives)) return "wrong_supernode";
  if (network && certificate === undefined) return "no_certificate";
  if (!signature || !verify(answerStatement(answer, request), { signature, publicKey }, primitives)) {
    return "bad_signature";
  }
  if (!network) return undefined;
  const verdict = verifyCertificate(certificate!, {
    networkPublicKey: network.networkPublicKey,
    peerId: supernodeId,
    role: SUPERNODE_ROLE,
    region: answer.region,
    nowMs: check.wallMs,
    primitives,
    ...(network.isRevoked && { isRevoked: network.isRevoked }),
  });
  if (verdict.ok) return undefined;
  check.onBadCertificate?.(verdict.reason);
  return "bad_certificate";
}

function answerStatement(
  answer: Pick<AuthAccepted, "supernodeId" | "region">,
  request: Pick<AuthRequest, "peerId" | "nonce">,
): Statement {
  return {
    domain: AUTH_ANSWER_DOMAIN,
    fields: [answer.supernodeId, answer.region, request.peerId, request.nonce],
  };
}
