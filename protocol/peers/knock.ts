/**
 * What two peers say to each other first, under the seal of their connection (`sealed_handshake.ts`): who knocks says who it
 * is, whoever it has come to says whether it may come in.
 *
 *   knock     version u8 = 1 | 1 | length u16 BE | JSON: public key, its signature of the sealing key, invitation
 *   welcome   version | 2 | length | JSON: what the guest may see, and the host's card as it is now
 *   refusal   version | 3 | length | JSON: why not
 *   call      version | 4 | length | JSON: public key, its signature of the sealing key, token
 *
 * A guest that has come by a relay may say where it can be dialled itself. Then the host calls it back there, as the one that
 * begins the seal, with the token of the knock; from then on all is as if the guest had reached the host directly.
 *
 * The seal has shown that the guest owns its sealing key; the signature shows whose key that is. A knock can be neither
 * forged nor sent again: it is sealed with keys that were drawn for this connection. The host has shown who it is before
 * anything of the knock, such as an invitation, is sent.
 */

import { z } from "zod";
import { decodeBase64, encodeBase64 } from "../encoding.ts";
import { endpointSchema, keySchema, signatureSchema, tokenSchema } from "../fields.ts";
import { MAX_PATH_BYTES } from "../files/listing.ts";
import { type Identity, peerIdOf, verifyWireGuardBinding } from "../identity.ts";
import { bad, done, type Parsed } from "../parse.ts";
import type { Bytes, Primitives } from "../primitives.ts";
import { PEER_STREAM_DOMAIN, signedBytes } from "../signing.ts";
import { encodeFrame, parseFrame } from "../tunnel_frame.ts";
import { peerCardSchema } from "./card.ts";

/** Room for the longest card, with its certificate. */
const MAX_BODY_BYTES = 16 * 1024;
const KNOCK = 1;
const WELCOME = 2;
const REFUSAL = 3;
const CALL = 4;

/** The secret of an invitation as text, 16 bytes. */
export const invitationSecretSchema = tokenSchema;

/** Where a guest can be called back, and by what it knows the call. */
export const callBackSchema = z.object({ token: tokenSchema, addresses: z.array(endpointSchema).min(1).max(4) });
export type CallBack = z.infer<typeof callBackSchema>;

const introduction = { publicKey: keySchema, sealingKeySignature: signatureSchema };

const knockSchema = z.object({
  ...introduction,
  invitation: invitationSecretSchema.optional(),
  callBack: callBackSchema.optional(),
});
export type Knock = z.infer<typeof knockSchema>;

const callSchema = z.object({ ...introduction, token: tokenSchema });
export type Call = z.infer<typeof callSchema>;

/** What comes first, of either. */
export type FirstWords = { readonly knock: Knock } | { readonly call: Call };

export const welcomeSchema = z.object({
  /** What the guest may see: a folder or a file; "" is all. */
  scope: z.string().max(MAX_PATH_BYTES),
  mayUpload: z.boolean(),
  /** Where the host is reached from now on. */
  card: peerCardSchema.optional(),
});
export type Welcome = z.infer<typeof welcomeSchema>;

/** Why a guest is turned away. */
export const turnedAwaySchema = z.enum([
  "not_invited", // only those on a list, or with an invitation, may come in
  "unknown_invitation", // there is none with that secret, or no more
  "expired_invitation",
  "used_invitation", // by as many as may use it
  "denied", // this guest is not wanted
  "busy", // a limit is reached; later it may work
]);
export type TurnedAway = z.infer<typeof turnedAwaySchema>;

const refusalSchema = z.object({ reason: turnedAwaySchema });

export type KnockAnswer =
  | { readonly ok: true; readonly welcome: Welcome }
  | { readonly ok: false; readonly reason: TurnedAway };

/** Who knocks, as the seal and its signature have shown. */
export interface Knocker {
  readonly peerId: string;
  /** The secret of an invitation, which may be anything. */
  readonly invitation?: string | undefined;
}

/** What the sealed connections to a peer begin with: one meant for another peer is of no use. */
export function peerPrologue(hostId: string): Bytes {
  return signedBytes(PEER_STREAM_DOMAIN, [hostId]);
}

export function encodeKnock(
  identity: Identity,
  { invitation, callBack }: Pick<Knock, "invitation" | "callBack"> = {},
): Uint8Array {
  const knock: Knock = {
    ...introductionOf(identity),
    ...(invitation !== undefined && { invitation }),
    ...(callBack && { callBack }),
  };
  return encodeJson(KNOCK, knock);
}

export function encodeCall(identity: Identity, token: string): Uint8Array {
  const call: Call = { ...introductionOf(identity), token };
  return encodeJson(CALL, call);
}

export function parseFirstWords(bytes: Uint8Array): Parsed<FirstWords> {
  const framed = parseFrame(bytes, MAX_BODY_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const json = parseJson(body);
  const knock = code === KNOCK ? knockSchema.safeParse(json).data : undefined;
  if (knock) return done({ knock }, framed.length);
  const call = code === CALL ? callSchema.safeParse(json).data : undefined;
  return call ? done({ call }, framed.length) : bad("neither a knock nor a call");
}

/** Who it is that owns that sealing key and says this; undefined when the key is not theirs. */
export function speakerOf(
  words: Pick<Knock, "publicKey" | "sealingKeySignature">,
  sealingKey: Uint8Array,
  primitives: Primitives,
): string | undefined {
  const publicKey = decodeBase64(words.publicKey);
  const signature = decodeBase64(words.sealingKeySignature);
  if (!publicKey || !signature) return undefined;
  const peerId = peerIdOf(publicKey, primitives);
  const isTheirs = verifyWireGuardBinding({ peerId, publicKey, wireguardKey: sealingKey, signature }, primitives);
  return isTheirs ? peerId : undefined;
}

export function encodeKnockAnswer(answer: KnockAnswer): Uint8Array {
  return answer.ok ? encodeJson(WELCOME, answer.welcome) : encodeJson(REFUSAL, { reason: answer.reason });
}

export function parseKnockAnswer(bytes: Uint8Array): Parsed<KnockAnswer> {
  const framed = parseFrame(bytes, MAX_BODY_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const json = parseJson(body);
  if (code === WELCOME) {
    const welcome = welcomeSchema.safeParse(json).data;
    return welcome ? done({ ok: true, welcome }, framed.length) : bad("malformed welcome");
  }
  const refusal = code === REFUSAL ? refusalSchema.safeParse(json).data : undefined;
  return refusal ? done({ ok: false, reason: refusal.reason }, framed.length) : bad("malformed refusal");
}

function introductionOf(identity: Identity): Pick<Knock, "publicKey" | "sealingKeySignature"> {
  const { publicKey, signature } = identity.wireguardBinding();
  return { publicKey: encodeBase64(publicKey), sealingKeySignature: encodeBase64(signature) };
}

function encodeJson(code: number, value: unknown): Uint8Array {
  return encodeFrame(code, new TextEncoder().encode(JSON.stringify(value)));
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
