/**
 * Who may ask base for something. The questions are asked in the order of their cost, so that a stranger pays more for
 * being refused than base does for refusing:
 *
 *   address within its rate → signature fresh, whole and good → signer within its rate → body JSON, short and the one signed
 *     → never seen before → not blocked → body as its schema says
 *
 * A nonce is remembered only once the signature is known to be good, so that nobody can fill the memory. Where a replay
 * would change something it is remembered in the store, which all processes share; where it would only repeat an answer
 * or a heartbeat at most a minute old, in this process.
 */

import type { z } from "zod";
import type { BlockStore } from "../../kv/blocks.ts";
import type { NonceStore } from "../../kv/nonces.ts";
import type { Clock } from "../../protocol/clock.ts";
import { AuthLimits } from "../../protocol/control/auth_limits.ts";
import { Nonces } from "../../protocol/control/nonces.ts";
import { isSignedBody, type RequestSignature, type SignatureFault, verifyHead } from "../../protocol/http_signature.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { BlockKind } from "../../protocol/stored_records.ts";
import { Problem, schemaProblem } from "../problem.ts";
import { readBody } from "../read_body.ts";

/** A registration with the longest certificate is under 4 KiB, a batch of 500 heartbeats under 64. */
export const MAX_REQUEST_BYTES = 64 * 1024;
/** A nonce is remembered for so much longer than its request may pass: what a store may take for it. */
const STORE_SLACK_MS = 10_000;
/** Nonces are dropped ten seconds' worth at a time. */
const NONCES_RETRY_MS = 10_000;

/**
 * How often one address and one identity may ask. A supernode asks for each exit its clients want and it has none at
 * hand for; several may be behind one address, and so may programs that only list relays.
 */
export function requestLimits(random: Random): AuthLimits {
  return new AuthLimits(random, {
    address: { perSecond: 200, burst: 1000 },
    peer: { perSecond: 50, burst: 200 },
  });
}

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly primitives: Primitives;
  /** Shared by all processes of this base. */
  readonly nonces: NonceStore;
  readonly blocks: Pick<BlockStore, "find">;
  readonly limits: Pick<AuthLimits, "takeAddress" | "takePeer">;
  /** The peer id that requests must be meant for; base has none, and goes by its hosts. */
  readonly recipient?: string | undefined;
  /** The hosts this base goes by, as in URLs; any when left out. */
  readonly authorities?: readonly string[] | undefined;
}

/** What kind of a signed request it is. */
export interface SignedKind<S extends z.ZodType> {
  readonly schema: S;
  /** Under which kind the signer may be blocked. */
  readonly signer: BlockKind;
  /** Whether doing it twice changes something. */
  readonly changes: boolean;
}

export interface Admitted<T> {
  readonly signature: RequestSignature;
  readonly body: T;
}

const FAULT_DETAILS: Readonly<Record<SignatureFault, string>> = {
  unsigned: "Cannot take the request: it must carry a signature (RFC 9421) tagged culvert/http/v1, got none",
  malformed: "Cannot take the request: Signature-Input and Signature must be as RFC 9421 and openapi.json say",
  not_covered:
    "Cannot take the request: @method, @authority, @path, @query, content-digest and any recipient must be signed",
  misdirected: "Cannot take the request: culvert-recipient must be the peer id of whoever answers here",
  stale: "Cannot take the request: its signature must be made within 60 s of our time; set the clock",
  bad_digest: "Cannot take the request: Content-Digest must be the body's sha-256",
  bad_signature: "Cannot take the request: the signature must be over this method, host, path and query, by its keyid",
};

export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #seenHere = new Nonces();

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** The problem with a request that is refused before anything of it is looked at, or undefined. */
  refusalOfAddress(request: Request, remoteAddress: string | undefined): Problem | undefined {
    return this.refusalOfOrigin(remoteAddress, () => new URL(request.url).host);
  }

  /** The same, of what is no Request. */
  refusalOfOrigin(remoteAddress: string | undefined, hostOf: () => string | undefined): Problem | undefined {
    const { clock, limits, authorities } = this.#deps;
    const address = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
    const waitMs = address ? limits.takeAddress(address, clock.now()) : 0;
    if (waitMs > 0) return tooMany("address", waitMs);
    if (authorities === undefined || authorities.includes(hostOf() ?? "")) return undefined;
    return new Problem("misdirected", `Cannot take the request: it must be for ${authorities.join(" or ")}`);
  }

  /** A signed request whose signer may make it, and what it says; or the problem with it. */
  async admit<S extends z.ZodType>(request: Request, kind: SignedKind<S>): Promise<Admitted<z.output<S>> | Problem> {
    const { clock, primitives, limits, recipient } = this.#deps;
    const verdict = verifyHead(request, { recipient, wallNowMs: clock.wallNow(), primitives });
    if (!verdict.ok) return this.#refuse(verdict.fault);
    const { signature } = verdict;
    const waitMs = limits.takePeer(signature.peerId, clock.now());
    if (waitMs > 0) return tooMany("identity", waitMs);
    if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) {
      return new Problem("wrong_type", "Cannot take the request: its Content-Type must be application/json");
    }
    const bytes = await readBody(request, MAX_REQUEST_BYTES);
    if (!bytes) {
      return new Problem("too_large", `Cannot take the request: its body must be at most ${MAX_REQUEST_BYTES} bytes`);
    }
    if (!isSignedBody(request, bytes, primitives)) return this.#refuse("bad_digest");
    const again = await this.#refusalOfNonce(signature, kind.changes);
    if (again) return again;
    if (await this.#deps.blocks.find(kind.signer, signature.peerId)) {
      return new Problem("blocked", "Cannot take the request: its signer must not be blocked; ask the administrator");
    }
    const parsed = kind.schema.safeParse(parseJson(bytes));
    return parsed.success ? { signature, body: parsed.data } : schemaProblem(parsed.error);
  }

  #refuse(fault: SignatureFault): Problem {
    const serverTimeMs = fault === "stale" ? { serverTimeMs: this.#deps.clock.wallNow() } : {};
    return new Problem(fault, FAULT_DETAILS[fault], serverTimeMs);
  }

  async #refusalOfNonce(signature: RequestSignature, changes: boolean): Promise<Problem | undefined> {
    const { peerId, nonce, goodUntilMs } = signature;
    const { nonces, clock } = this.#deps;
    // The body may have come so slowly that the nonce is forgotten by now.
    if (clock.wallNow() >= goodUntilMs) return this.#refuse("stale");
    const key = `${peerId} ${nonce}`;
    const isNew = changes
      ? await nonces.remember(key, goodUntilMs + STORE_SLACK_MS)
      : this.#seenHere.remember(key, goodUntilMs, clock.wallNow());
    if (isNew) return undefined;
    return isNew === undefined
      ? new Problem("unavailable", "Cannot take the request: too many have come in the last minute; try again", {
        retryAfterMs: NONCES_RETRY_MS,
      })
      : new Problem("replayed", "Cannot take the request: its nonce must be new; sign each request anew");
  }
}

function tooMany(what: string, retryAfterMs: number): Problem {
  return new Problem("rate_limited", `Cannot take the request: this ${what} has asked too often; wait and try again`, {
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}

/** Undefined for what is no JSON in UTF-8, which fits no schema of ours. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
