/**
 * Who may come in to a peer, and what they may see there, asked in this order:
 *
 *   denied?            turned away, whatever else holds
 *   on the list?       everything is theirs to see, and to put files to where the list says so
 *   open?              the same for everybody
 *   an invitation?     what that says, and until it does
 *
 * Who may come in by itself uses no invitation up and keeps that right when one has ended; but where it may not put files, and
 * an invitation that it shows says that it may, it comes in by that: to what it is for, and no more.
 * What it does not do: keep lists and invitations, which is for whoever owns files.
 */

import type { Primitives } from "../primitives.ts";
import { isPeerId } from "../identity.ts";
import { type Invitation, invitationHash, refusalOfInvitation, usedInvitation } from "./invitations.ts";
import type { Knocker, TurnedAway } from "./knock.ts";

/** What a guest was let in for. */
export interface Grant {
  readonly ok: true;
  /** A folder or a file; "" is all. */
  readonly scope: string;
  readonly mayUpload: boolean;
  /** The hash of the invitation it has come by. */
  readonly invitation?: string;
}

export type Judgement = Grant | { readonly ok: false; readonly reason: TurnedAway };

/** A peer on a list, and whether it may put files there. */
export interface ListedPeer {
  readonly mayUpload: boolean;
}

export interface GuestRulesOptions {
  readonly primitives: Primitives;
  /** Whether everybody may come in. Default false. */
  readonly isOpen?: boolean;
  /** Whether everybody who may come in by being open may put files there. Default false. */
  readonly openUpload?: boolean;
  /** An invitation was used by one more; to be kept. */
  onUsed?(invitation: Invitation): void;
}

export class GuestRules {
  readonly #options: GuestRulesOptions;
  #allowed: ReadonlyMap<string, ListedPeer> = new Map();
  #denied: ReadonlySet<string> = new Set();
  /** By their hashes. */
  #invitations = new Map<string, Invitation>();
  readonly #listeners = new Set<() => void>();

  constructor(options: GuestRulesOptions) {
    this.#options = options;
  }

  /** Replaces what is given; who is here and may not be any more is let go of. */
  change(
    rules: {
      readonly allowed?: ReadonlyMap<string, ListedPeer>;
      readonly denied?: ReadonlySet<string>;
      readonly invitations?: Iterable<Invitation>;
    },
  ): void {
    const { allowed, denied, invitations } = rules;
    if (allowed) this.#allowed = allowed;
    if (denied) this.#denied = denied;
    if (invitations) this.#invitations = new Map(Array.from(invitations, (each) => [each.hash, each]));
    for (const listener of this.#listeners) listener();
  }

  /** Calls back after every change. */
  subscribe(listener: () => void): Disposable {
    const own = () => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Whether it may come in. Counts nothing: `use` does, once it has. */
  judge({ peerId, invitation }: Knocker, wallNowMs: number): Judgement {
    const { isOpen = false, openUpload = false, primitives } = this.#options;
    if (this.#denied.has(peerId)) return { ok: false, reason: "denied" };
    const listed = this.#allowed.get(peerId);
    const own = listed ?? (isOpen ? { mayUpload: openUpload } : undefined);
    const hash = invitation === undefined ? undefined : invitationHash(invitation, primitives);
    const byInvitation = hash === undefined ? undefined : this.#judgeInvitation(hash, peerId, wallNowMs);
    const isInvitedToMore = own?.mayUpload === false && byInvitation?.ok === true && byInvitation.mayUpload;
    if (own && !isInvitedToMore) return { ok: true, scope: "", mayUpload: own.mayUpload };
    return byInvitation ?? { ok: false, reason: "not_invited" };
  }

  /** Whether somebody who was let in may still be here. */
  stillHolds(peerId: string, { invitation, scope, mayUpload }: Grant, wallNowMs: number): boolean {
    if (invitation !== undefined && !this.#denied.has(peerId)) {
      return this.#judgeInvitation(invitation, peerId, wallNowMs).ok;
    }
    const now = this.judge({ peerId }, wallNowMs);
    return now.ok && now.scope === scope && (now.mayUpload || !mayUpload);
  }

  /** It has come in by that grant: from now on it counts. */
  use(peerId: string, { invitation }: Grant): void {
    const known = invitation === undefined ? undefined : this.#invitations.get(invitation);
    if (!known) return;
    const used = usedInvitation(known, peerId);
    if (used === known) return;
    this.#invitations.set(used.hash, used);
    this.#options.onUsed?.(used);
  }

  #judgeInvitation(hash: string, peerId: string, wallNowMs: number): Judgement {
    const invitation = this.#invitations.get(hash);
    const reason = refusalOfInvitation(invitation, peerId, wallNowMs);
    if (reason) return { ok: false, reason };
    const { scope, mayUpload } = invitation!;
    return { ok: true, scope, mayUpload, invitation: hash };
  }
}

/** A line of a list that makes no sense. */
export interface ListFault {
  readonly line: number;
  readonly text: string;
}

/** Reads a list of peers: an id on each line, then `upload` if it may put files here; `#` begins a remark. */
export function parsePeerList(
  text: string,
): { readonly peers: ReadonlyMap<string, ListedPeer>; readonly faults: readonly ListFault[] } {
  const peers = new Map<string, ListedPeer>();
  const faults: ListFault[] = [];
  for (const [at, whole] of text.split("\n").entries()) {
    const words = whole.replace(/#.*/, "").trim().split(/\s+/);
    const [peerId = "", word, ...rest] = words;
    if (peerId === "") continue;
    const isFine = isPeerId(peerId) && (word === undefined || word === "upload") && rest.length === 0;
    if (isFine) peers.set(peerId, { mayUpload: word === "upload" });
    else faults.push({ line: at + 1, text: whole.trim().slice(0, 80) });
  }
  return { peers, faults };
}
