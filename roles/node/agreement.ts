/**
 * Gets the owner's consent before anything is shared: shows what it will be, asks, and keeps the signed answer.
 *
 *   what will be shared ─▶ good consent kept? ─▶ go on
 *                          └▶ the text ─▶ --yes, or "y" on a terminal ─▶ signed, kept ─▶ go on          else: nothing is shared
 *
 * Consent is to one orchestrator and one version of the text: another of either is asked for anew.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { consentProblem, currentConsentText, giveConsent } from "../../protocol/sharing/consent.ts";
import type { Consent } from "../../protocol/sharing/records.ts";
import { ConfigError } from "../config.ts";
import { typedLines } from "../typed_lines.ts";
import type { NodeFiles } from "./records.ts";
import { consentLines } from "./words.ts";

/** Whoever sits at the terminal. */
export interface Owner {
  /** Whether anybody does. */
  readonly isThere: boolean;
  say(line: string): void;
  /** Asks, and gives the answer's line; undefined when they have gone. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
}

export interface AgreementOptions {
  readonly urls: readonly string[];
  /** What will be shared, for people. */
  readonly offer: readonly string[];
  /** The owner has agreed by a flag. */
  readonly yes: boolean;
  readonly owner: Owner;
  readonly files: NodeFiles;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The consent for each orchestrator. Rejects with `no_consent` when the owner does not agree. */
export async function agree(options: AgreementOptions): Promise<ReadonlyMap<string, Consent>> {
  const { urls, offer, owner, files } = options;
  owner.say("This node shares");
  for (const line of offer) owner.say(`  ${line}`);
  const { orchestrators } = await files.records();
  const consents = new Map<string, Consent>();
  for (const url of urls) {
    const consent = orchestrators[url]?.consent;
    if (consent && !problemOf(consent, options)) consents.set(url, consent);
  }
  const missing = urls.filter((url) => !consents.has(url));
  if (missing.length === 0) return consents;
  await ask(missing, options);
  const consent = giveConsent(options.identity, { primitives: options.primitives, atMs: options.clock.wallNow() });
  for (const url of missing) {
    await files.changeOrchestrator(url, { consent });
    consents.set(url, consent);
  }
  owner.say("You have agreed; `culvert node consent --withdraw` takes that back");
  return consents;
}

/** Why a consent that is kept is of no use; undefined when it is good. */
export function problemOf(
  consent: Consent,
  { identity, primitives, clock }: Pick<AgreementOptions, "identity" | "primitives" | "clock">,
): string | undefined {
  const giver = { nodeId: identity.peerId, publicKey: identity.publicKey };
  return consentProblem(consent, giver, { primitives, nowMs: clock.wallNow() });
}

async function ask(urls: readonly string[], { owner, yes, signal }: AgreementOptions): Promise<void> {
  owner.say("");
  for (const line of consentLines(currentConsentText())) owner.say(line);
  owner.say("");
  if (yes) return;
  if (!owner.isThere) {
    throw new ConfigError("start node", [
      "what is printed above must be agreed to: give --yes, or start it on a terminal to be asked",
    ]);
  }
  const answer = await owner.ask(`Do you agree to share through ${urls.join(" and ")}? (y/N) `, signal);
  if (/^y(es)?$/i.test(answer?.trim() ?? "")) return;
  throw new CulvertError("no_consent", "Nothing is shared: you have not agreed");
}

/** Whoever sits at this process's terminal; hears on standard error, since results go to standard output. */
export function terminalOwner(tell: (line: string) => void): Owner {
  return {
    isThere: Deno.stdin.isTerminal(),
    say: tell,
    async ask(question, signal) {
      Deno.stderr.writeSync(new TextEncoder().encode(question));
      for await (const line of typedLines(signal)) return line;
      return undefined;
    },
  };
}
