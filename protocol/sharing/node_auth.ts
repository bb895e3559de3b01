/**
 * Who is at the ends of a node's tunnel, proven both ways, and proven again while it lasts.
 *
 *   hello    the node signs         orchestratorId ‖ challenge's nonce ‖ its time ‖ nodeId ‖ own nonce ‖ runId
 *                                   ‖ tunnel index ‖ tunnel count ‖ code or "" ‖ consent version ‖ text hash ‖ time
 *   welcome  the orchestrator signs orchestratorId ‖ nodeId ‖ hello's nonce ‖ sessionId
 *   answer   the node signs         orchestratorId ‖ challenge's nonce ‖ its time ‖ nodeId ‖ sessionId
 *   consent  the node signs         version ‖ text hash ‖ time
 *
 * A nonce is good on the one connection it was sent on, so nothing has to be remembered, and the time is the challenge's
 * own, so a node's clock may be wrong. `signing.ts` says how statements become bytes; nonces are signed as their text.
 */

import { decodeBase64, encodeBase64, encodeBase64Url } from "../encoding.ts";
import { type Identity, peerIdFits } from "../identity.ts";
import type { Primitives } from "../primitives.ts";
import type { Random } from "../random.ts";
import {
  NODE_CONSENT_DOMAIN,
  NODE_HELLO_DOMAIN,
  NODE_LIVENESS_DOMAIN,
  NODE_WELCOME_DOMAIN,
  type Statement,
  verify,
} from "../signing.ts";
import { type Answer, type Challenge, type Hello, NODE_PROTOCOL_VERSION, type Welcome } from "./node_messages.ts";
import type { Consent } from "./records.ts";

const NONCE_BYTES = 16;

/** A new nonce, run id or session id. `random` must be unpredictable. */
export function newNodeToken(random: Random): string {
  return encodeBase64Url(random.fill(new Uint8Array(NONCE_BYTES)));
}

/** What the owner's word is made of, before the node signs it. */
export function consentStatement(consent: Omit<Consent, "signature">): Statement {
  return { domain: NODE_CONSENT_DOMAIN, fields: [consent.version, consent.textHash, consent.atMs] };
}

/** Signs the owner's word with the node's key. */
export function signConsent(identity: Identity, consent: Omit<Consent, "signature">): Consent {
  return { ...consent, signature: encodeBase64(identity.sign(consentStatement(consent))) };
}

/** Whether the node with this public key (base64) has signed it. */
export function isConsentSigned(consent: Consent, publicKey: string, primitives: Primitives): boolean {
  return isSigned(consentStatement(consent), consent.signature, publicKey, primitives);
}

export function makeChallenge(orchestratorId: string, timeMs: number, random: Random): Challenge {
  return {
    type: "challenge",
    version: NODE_PROTOCOL_VERSION,
    orchestratorId,
    nonce: newNodeToken(random),
    timeMs,
  };
}

/** A hello without what follows from the identity and the challenge. */
export type HelloDetails = Omit<Hello, "type" | "version" | "nodeId" | "publicKey" | "signature">;

export function makeHello(identity: Identity, challenge: Challenge, details: HelloDetails): Hello {
  const hello = { ...details, nodeId: identity.peerId };
  return {
    type: "hello",
    version: NODE_PROTOCOL_VERSION,
    ...hello,
    publicKey: encodeBase64(identity.publicKey),
    signature: encodeBase64(identity.sign(helloStatement(challenge, hello))),
  };
}

export type HelloFault = "unsupported_version" | "wrong_node_id" | "bad_signature" | "consent_needed";

/** Why the hello does not prove that the node itself has answered this challenge; undefined when it does. Never throws. */
export function faultOfHello(hello: Hello, challenge: Challenge, primitives: Primitives): HelloFault | undefined {
  if (hello.version !== NODE_PROTOCOL_VERSION) return "unsupported_version";
  const publicKey = decodeBase64(hello.publicKey);
  if (!publicKey || !peerIdFits(hello.nodeId, publicKey, primitives)) return "wrong_node_id";
  const statement = helloStatement(challenge, hello);
  if (!isSigned(statement, hello.signature, hello.publicKey, primitives)) return "bad_signature";
  return isConsentSigned(hello.consent, hello.publicKey, primitives) ? undefined : "consent_needed";
}

/** What an orchestrator adds to a welcome to show that it is the one the hello was meant for. */
export function welcomeProof(
  identity: Identity,
  hello: Pick<Hello, "nodeId" | "nonce">,
  sessionId: string,
): Pick<Welcome, "publicKey" | "signature"> {
  return {
    publicKey: encodeBase64(identity.publicKey),
    signature: encodeBase64(identity.sign(welcomeStatement(identity.peerId, hello, sessionId))),
  };
}

/** Whether that orchestrator has sent the welcome, to this hello. */
export function isWelcomeGenuine(
  welcome: Pick<Welcome, "publicKey" | "signature" | "sessionId">,
  expected: { readonly orchestratorId: string; readonly hello: Pick<Hello, "nodeId" | "nonce"> },
  primitives: Primitives,
): boolean {
  const { orchestratorId, hello } = expected;
  const publicKey = decodeBase64(welcome.publicKey);
  if (!publicKey || !peerIdFits(orchestratorId, publicKey, primitives)) return false;
  const statement = welcomeStatement(orchestratorId, hello, welcome.sessionId);
  return isSigned(statement, welcome.signature, welcome.publicKey, primitives);
}

/** The node's answer to a challenge on a tunnel that is up. */
export function makeAnswer(identity: Identity, challenge: Challenge, sessionId: string): Answer {
  const statement = livenessStatement(challenge, identity.peerId, sessionId);
  return { type: "answer", nonce: challenge.nonce, signature: encodeBase64(identity.sign(statement)) };
}

/** Whether the answer is that node's, to that challenge. */
export function isAnswerGenuine(
  answer: Answer,
  expected: {
    readonly challenge: Challenge;
    readonly node: Pick<Hello, "nodeId" | "publicKey">;
    readonly sessionId: string;
  },
  primitives: Primitives,
): boolean {
  const { challenge, node, sessionId } = expected;
  if (answer.nonce !== challenge.nonce) return false;
  const statement = livenessStatement(challenge, node.nodeId, sessionId);
  return isSigned(statement, answer.signature, node.publicKey, primitives);
}

function helloStatement(challenge: Challenge, hello: HelloDetails & Pick<Hello, "nodeId">): Statement {
  const { nodeId, nonce, runId, tunnel, code = "", consent } = hello;
  return {
    domain: NODE_HELLO_DOMAIN,
    fields: [
      challenge.orchestratorId,
      challenge.nonce,
      challenge.timeMs,
      nodeId,
      nonce,
      runId,
      tunnel.index,
      tunnel.count,
      code,
      consent.version,
      consent.textHash,
      consent.atMs,
    ],
  };
}

function welcomeStatement(
  orchestratorId: string,
  hello: Pick<Hello, "nodeId" | "nonce">,
  sessionId: string,
): Statement {
  return { domain: NODE_WELCOME_DOMAIN, fields: [orchestratorId, hello.nodeId, hello.nonce, sessionId] };
}

function livenessStatement(challenge: Challenge, nodeId: string, sessionId: string): Statement {
  const { orchestratorId, nonce, timeMs } = challenge;
  return { domain: NODE_LIVENESS_DOMAIN, fields: [orchestratorId, nonce, timeMs, nodeId, sessionId] };
}

/** Of texts that may come from anyone. */
function isSigned(statement: Statement, signature: string, publicKey: string, primitives: Primitives): boolean {
  const signed = { signature: decodeBase64(signature), publicKey: decodeBase64(publicKey) };
  if (!signed.signature || !signed.publicKey) return false;
  return verify(statement, { signature: signed.signature, publicKey: signed.publicKey }, primitives);
}
