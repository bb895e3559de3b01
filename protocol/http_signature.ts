/**
 * Signed HTTP requests (RFC 9421), as supernodes send them to the base and to each other. A subset: one algorithm
 * (Ed25519), requests only, and no parameters on components.
 *
 *   Content-Digest:   sha-256=:…:                                                  RFC 9530
 *   Signature-Input:  culvert=("@method" "@authority" "@path" "@query" "content-digest")
 *                       ;created=1618884473;nonce="…";keyid="…";alg="ed25519";tag="culvert/http/v1"
 *   Signature:        culvert=:…:
 *
 * The key id is the identity's public key itself in base64, so that whoever verifies needs no list of keys; whose it is
 * says the peer id, its hash. `@authority` keeps a request for one base from being passed on to another, `tag` keeps it
 * from being read as anything else. A host is what the request says it is, though: where an identity answers, the request
 * also names that in `culvert-recipient`, which is signed then. `@target-uri` is not used: what terminates TLS in front of
 * us changes its scheme.
 *
 * A verdict says that the request is fresh, whole and signed. That it has not been here before is for whoever remembers
 * nonces, and whether its signer may ask this for whoever serves it.
 */

import { decodeBase64, encodeBase64, encodeBase64Url } from "./encoding.ts";
import { CulvertError } from "./errors.ts";
import { peerIdOf } from "./identity.ts";
import { type Bytes, KEY_BYTES, type Primitives } from "./primitives.ts";
import type { Random } from "./random.ts";
import {
  formatByteSequence,
  formatInnerList,
  type InnerList,
  parseByteSequences,
  parseInnerLists,
} from "./structured_field.ts";

/** What the signature is for, and the version of the rules above. */
export const HTTP_SIGNATURE_TAG = "culvert/http/v1";

/** How far the two clocks may be apart. */
export const MAX_SIGNATURE_SKEW_MS = 60_000;

const LABEL = "culvert";
const COVERED = ["@method", "@authority", "@path", "@query", "content-digest"] as const;
/** The peer id of whom a request is meant for. */
export const RECIPIENT_HEADER = "culvert-recipient";
const NONCE_BYTES = 16;
const SHA256_BYTES = 32;
const NONCE = /^[A-Za-z0-9_-]{16,64}$/;
const FIELD_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

/** What of a request can be signed besides its body. */
export interface RequestHead {
  /** As it is sent, such as `POST`. */
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  /** By names of either case, as `Headers` has them. */
  readonly headers: { get(name: string): string | null };
}

/** An identity, as far as signing requests goes. */
export interface RequestSigner {
  /** The Ed25519 key, which stands in the request as its key id. */
  readonly publicKey: Uint8Array;
  /** The Ed25519 signature over what RFC 9421 says is to be signed. */
  signHttp(signatureBase: Uint8Array): Bytes;
}

/** What signing takes beside the request. */
export interface SigningOptions {
  /** The peer id of whom it is meant for, if an identity answers there. */
  readonly recipient?: string | undefined;
  /** Milliseconds since 1970, on our clock. */
  readonly wallNowMs: number;
  /** Where the nonce comes from. */
  readonly random: Random;
  /** What hashes the body. */
  readonly primitives: Primitives;
}

/** The headers that sign a request with this body. `head.headers` need not hold anything. */
export function signRequest(
  head: Omit<RequestHead, "headers">,
  body: Uint8Array,
  { signer, recipient, wallNowMs, random, primitives }: SigningOptions & { readonly signer: RequestSigner },
): Readonly<Record<string, string>> {
  const fields = {
    "content-digest": `sha-256=${formatByteSequence(primitives.sha256(body))}`,
    ...(recipient !== undefined && { [RECIPIENT_HEADER]: recipient }),
  };
  const input: InnerList = {
    items: coveredFor(recipient),
    parameters: new Map<string, string | number>([
      ["created", Math.floor(wallNowMs / 1000)],
      ["nonce", encodeBase64Url(random.fill(new Uint8Array(NONCE_BYTES)))],
      ["keyid", encodeBase64(signer.publicKey)],
      ["alg", "ed25519"],
      ["tag", HTTP_SIGNATURE_TAG],
    ]),
  };
  const base = signatureBase(input, { ...head, headers: new Headers(fields) });
  if (!base) {
    throw new CulvertError("invalid_option", `Cannot sign a request: its URL must be absolute, got ${head.url}`);
  }
  return {
    ...fields,
    "signature-input": `${LABEL}=${formatInnerList(input)}`,
    "signature": `${LABEL}=${formatByteSequence(signer.signHttp(base))}`,
  };
}

/** Why a request is not believed. */
export type SignatureFault =
  | "unsigned" // no signature of ours is on it
  | "malformed" // the headers cannot be read
  | "not_covered" // it leaves out something that must be signed
  | "misdirected" // it is meant for another
  | "stale" // the clocks are too far apart, or it is old
  | "bad_digest" // the body is not the one that was signed
  | "bad_signature";

/** What the signature of a request has proved. */
export interface RequestSignature {
  /** Who signed it. */
  readonly peerId: string;
  /** The key it was signed with, whose hash is the peer id. */
  readonly publicKey: Bytes;
  /** To be remembered until `goodUntilMs`. */
  readonly nonce: string;
  /** From when on the request would be refused as stale. */
  readonly goodUntilMs: number;
}

/** What is to be believed of a request, or why nothing. */
export type SignatureVerdict =
  | { readonly ok: true; readonly signature: RequestSignature }
  | { readonly ok: false; readonly fault: SignatureFault };

/** What verifying takes beside the request. */
export interface VerifyingOptions {
  /** The peer id of whom it must be meant for, if an identity answers here. */
  readonly recipient?: string | undefined;
  /** Milliseconds since 1970, on our clock. */
  readonly wallNowMs: number;
  /** What hashes and verifies. */
  readonly primitives: Primitives;
}

/** Whether a request and its body are as their signer sent them. */
export function verifyRequest(head: RequestHead, body: Uint8Array, options: VerifyingOptions): SignatureVerdict {
  const verdict = verifyHead(head, options);
  return !verdict.ok || isSignedBody(head, body, options.primitives) ? verdict : refused("bad_digest");
}

/**
 * Whether all of a request but its body is as its signer sent it: the body's digest is signed, so nothing of the body
 * need be read for a stranger. `isSignedBody` is to be asked afterwards. The cheap questions come first.
 */
export function verifyHead(head: RequestHead, options: VerifyingOptions): SignatureVerdict {
  const { recipient, wallNowMs, primitives } = options;
  const parsed = readSignature(head);
  if (typeof parsed === "string") return refused(parsed);
  const { input, created, nonce, publicKey, signature } = parsed;
  if (!coveredFor(recipient).every((name) => input.items.includes(name))) return refused("not_covered");
  if (recipient !== undefined && head.headers.get(RECIPIENT_HEADER) !== recipient) return refused("misdirected");
  if (!(Math.abs(wallNowMs - created * 1000) <= MAX_SIGNATURE_SKEW_MS)) return refused("stale");
  const base = signatureBase(input, head);
  if (!base) return refused("malformed");
  if (!primitives.ed25519Verify(signature, base, publicKey)) return refused("bad_signature");
  const peerId = peerIdOf(publicKey, primitives);
  return {
    ok: true,
    signature: { peerId, publicKey, nonce, goodUntilMs: created * 1000 + MAX_SIGNATURE_SKEW_MS + 1 },
  };
}

/** Whether the body is the one whose digest is in the request's head (RFC 9530 §2). */
export function isSignedBody({ headers }: RequestHead, body: Uint8Array, primitives: Primitives): boolean {
  const header = headers.get("content-digest");
  const claimed = header === null ? undefined : parseByteSequences(header)?.get("sha-256");
  if (claimed?.length !== SHA256_BYTES) return false;
  return primitives.sha256(body).every((byte, at) => byte === claimed[at]);
}

/** What must be signed. */
function coveredFor(recipient: string | undefined): readonly string[] {
  return recipient === undefined ? COVERED : [...COVERED, RECIPIENT_HEADER];
}

function refused(fault: SignatureFault): SignatureVerdict {
  return { ok: false, fault };
}

interface ReadSignature {
  readonly input: InnerList;
  readonly created: number;
  readonly nonce: string;
  readonly publicKey: Bytes;
  readonly signature: Bytes;
}

/** The signature with our tag. Others may stand beside it: a proxy on the way may have put its own there. */
function readSignature({ headers }: RequestHead): ReadSignature | SignatureFault {
  const inputText = headers.get("signature-input");
  const signatureText = headers.get("signature");
  if (inputText === null || signatureText === null) return "unsigned";
  const inputs = parseInnerLists(inputText);
  const signatures = parseByteSequences(signatureText);
  if (!inputs || !signatures) return "malformed";
  const ours = [...inputs].find(([, { parameters }]) => parameters.get("tag") === HTTP_SIGNATURE_TAG);
  if (!ours) return "unsigned";
  const [label, input] = ours;
  const { created, nonce, keyid, alg = "ed25519" } = Object.fromEntries(input.parameters);
  const signature = signatures.get(label);
  const publicKey = typeof keyid === "string" ? decodeBase64(keyid) : undefined;
  if (typeof created !== "number" || typeof nonce !== "string" || !NONCE.test(nonce)) return "malformed";
  if (!signature || publicKey?.length !== KEY_BYTES || alg !== "ed25519") return "malformed";
  return { input, created, nonce, publicKey, signature };
}

/**
 * The bytes that are signed (RFC 9421 §2.5); undefined if a component is named twice, is not one we know, or is not in
 * the request.
 */
export function signatureBase(input: InnerList, head: RequestHead): Bytes | undefined {
  if (new Set(input.items).size !== input.items.length) return undefined;
  const url = URL.parse(head.url);
  if (!url) return undefined;
  let text = "";
  for (const name of input.items) {
    const value = componentValue(name, head, url);
    if (value === undefined) return undefined;
    text += `"${name}": ${value}\n`;
  }
  return new TextEncoder().encode(`${text}"@signature-params": ${formatInnerList(input)}`);
}

/** RFC 9421 §2.1, §2.2. */
function componentValue(name: string, { method, headers }: RequestHead, url: URL): string | undefined {
  switch (name) {
    case "@method":
      return method;
    case "@authority":
      return url.host;
    case "@path":
      return url.pathname;
    case "@query":
      return url.search || "?";
    default:
      return FIELD_NAME.test(name) ? headers.get(name)?.trim() : undefined;
  }
}
