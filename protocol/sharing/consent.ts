/**
 * What the owner of a node agrees to before anything is shared: a text with a version, and the node's signed word that its
 * owner has agreed. An orchestrator takes no node without it.
 *
 *   statement: version ‖ SHA-256 of the text in base64url ‖ time in milliseconds
 *
 * The signature is the node's, made with the key of its identity (`node_auth.ts`). A text is never changed under its
 * version: whoever changes a word adds a version, and owners are asked again. The limits an owner has set are not part of
 * the text; they may change every day.
 */

import { encodeBase64, encodeBase64Url } from "../encoding.ts";
import { type Identity, peerIdFits } from "../identity.ts";
import type { Primitives } from "../primitives.ts";
import { isConsentSigned, signConsent } from "./node_auth.ts";
import type { Consent } from "./records.ts";

export interface ConsentText {
  readonly version: string;
  /** Paragraphs, each one line. */
  readonly paragraphs: readonly string[];
}

/** Every version there has been; the last is the one that owners are asked to agree to. */
export const consentTexts: readonly [ConsentText, ...ConsentText[]] = [{
  version: "1",
  paragraphs: [
    "Other people's internet traffic will leave through this machine and its internet connection. To the sites they visit, " +
    "that traffic comes from your address. You are credited for what passes.",
    "What is shared: connections to public addresses, on the ports that your egress policy opens, up to the limits you set. " +
    "Never shared: your files, your screen, other programs' traffic, your local network, and mail servers (port 25).",
    "What passes is not stored and not looked at here. The orchestrator keeps for each connection whose it was, through which " +
    "node it went, when, and how many bytes it had.",
    "The orchestrator is told your internet address and about where it is, what kind of machine and connection this is, the " +
    "state of its battery if it has one, and your limits.",
    "Complaints about what others do may reach you, because the traffic has your address. Your internet provider may forbid " +
    "sharing, or charge for it. Every byte that is shared passes your connection twice, once in and once out.",
    "You may stop at any time: `culvert node pause`, Ctrl-C, or `culvert node consent --withdraw`. Nothing is shared " +
    "before you agree, nor after you have withdrawn.",
  ],
}];

/** The text that owners are asked to agree to now. */
export function currentConsentText(): ConsentText {
  return consentTexts.at(-1)!;
}

/** SHA-256 of the paragraphs, joined by line feeds, as UTF-8; in base64url. */
export function consentTextHash(text: ConsentText, primitives: Primitives): string {
  return encodeBase64Url(primitives.sha256(new TextEncoder().encode(text.paragraphs.join("\n"))));
}

export interface ConsentTools {
  readonly primitives: Primitives;
  /** When the owner agreed, in milliseconds since 1970. */
  readonly atMs: number;
}

/** The node's word that its owner agrees to the current text. */
export function giveConsent(identity: Identity, { primitives, atMs }: ConsentTools): Consent {
  const text = currentConsentText();
  const agreed = { version: text.version, textHash: consentTextHash(text, primitives), atMs };
  return signConsent(identity, agreed);
}

/** A node, by what it says of itself. */
export interface ConsentGiver {
  readonly nodeId: string;
  readonly publicKey: Uint8Array;
}

/** How far a node's clock may be ahead of ours. */
const MAX_AHEAD_MS = 24 * 3_600_000;

/** What is wrong with a consent, in a few words; undefined when it is good. `nowMs` is the wall clock's. */
export function consentProblem(
  consent: Consent,
  giver: ConsentGiver,
  { primitives, nowMs }: { readonly primitives: Primitives; readonly nowMs: number },
): string | undefined {
  const text = consentTexts.find(({ version }) => version === consent.version);
  if (!text) return "the version of the consent is not known here";
  if (text !== currentConsentText()) return "the consent is to an older text";
  if (consent.textHash !== consentTextHash(text, primitives)) return "the consent is to another text";
  if (consent.atMs > nowMs + MAX_AHEAD_MS) return "the consent was given in the future";
  if (!peerIdFits(giver.nodeId, giver.publicKey, primitives)) return "the key is not the node's";
  const isSigned = isConsentSigned(consent, encodeBase64(giver.publicKey), primitives);
  return isSigned ? undefined : "the signature of the consent is wrong";
}
