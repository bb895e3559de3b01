/**
 * Why a peer's control stream ended or did not come about, and how long its supernode is left alone for it.
 *
 *   it failed               not at all: only the backoff counts
 *   "come back later"       as long as the supernode asks, within bounds
 *   refused for good        a minute; it may be mended at the other end
 *   replaced by a newer one a minute; see `stream_client.ts`
 */

import type { AuthAnswerRefusal } from "./auth.ts";
import type { AuthRefusal, ErrorCode } from "./messages.ts";

/** Why a stream ended or did not come about. */
export type ClientEnd =
  | AuthRefusal
  | `answer_${AuthAnswerRefusal}`
  | "unreachable"
  | "lost"
  | "silent"
  | "replaced"
  | "expired"
  | "shutdown"
  | "moved"
  | "renewed"
  | "bad_answer";

/** How long to stay away after a refusal that trying again does not mend, or half as much again. */
const RARELY_MS = 60_000;
/** No supernode can send its peers away for longer. */
const MAX_RETRY_AFTER_MS = 600_000;

const COME_BACK_LATER: readonly ClientEnd[] = ["busy", "draining", "rate_limited", "unavailable", "shutdown"];
const HOPELESS: readonly ClientEnd[] = [
  "replaced",
  "revoked",
  "wrong_peer_id",
  "bad_signature",
  "bad_binding",
  "no_certificate",
  "bad_certificate",
  "wrong_supernode",
  "answer_wrong_supernode",
  "answer_bad_signature",
  "answer_no_certificate",
  "answer_bad_certificate",
];

/** For how long the supernode is not to be tried again, before jitter. */
export function stayAwayMs(reason: ClientEnd, retryAfterMs: number): number {
  if (HOPELESS.includes(reason)) return RARELY_MS;
  return COME_BACK_LATER.includes(reason) ? Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) : 0;
}

const HINTS: Partial<Record<ClientEnd, string>> = {
  wrong_supernode: "another supernode answers at that URL: check the peer id before its @",
  answer_wrong_supernode: "another supernode answers at that URL: check the peer id before its @",
  answer_bad_signature: "whoever answers at that URL cannot show to be the supernode of that peer id",
  replaced: "another process uses the same identity: give each a state directory of its own",
  revoked: "an administrator of that supernode has revoked this peer",
  no_certificate: "the network is closed: install a certificate for this peer, and name the network",
  bad_certificate: "the supernode does not take this peer's certificate",
  answer_no_certificate: "the supernode shows no certificate: is it of the network that was named?",
  answer_bad_certificate: "the supernode's certificate is not good in the network that was named",
};

/** What a person could do about it, or should know; undefined where trying again is all. */
export function hintOf(reason: ClientEnd): string | undefined {
  return HINTS[reason];
}

/** How a stream ends on which that error has come, or undefined if it goes on. */
export function endOf(code: ErrorCode): ClientEnd | undefined {
  switch (code) {
    case "replaced":
    case "revoked":
    case "expired":
    case "shutdown":
      return code;
    case "timeout":
      return "silent";
    default:
      return undefined;
  }
}
