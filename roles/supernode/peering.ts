/**
 * What this supernode asks of others: exits for its clients, their setting up and letting go, notices, and a token for a
 * data link. Every call is signed; in a closed network it carries the caller's certificate, and only supernodes with a
 * certificate of their own are asked (`net/directory_client.ts` sees to that).
 *
 * Where a supernode is, base tells. Several ask at once, each within the time given.
 */

import type { DirectoryClient } from "../../net/directory_client.ts";
import { type Fetch, HttpCallError, SignedHttp } from "../../net/signed_http.ts";
import type { Clock } from "../../protocol/clock.ts";
import { deadline } from "../../protocol/clock.ts";
import {
  type ExitCandidate,
  type ExitEndRequest,
  type ExitNotice,
  type ExitPeerRequest,
  exitPeerResponseSchema,
  type ExitSetupRequest,
  type ExitSetupResponse,
  exitSetupResponseSchema,
  type SessionCheck,
  type SessionCheckResponse,
  sessionCheckResponseSchema,
  type SupernodeRecord,
} from "../../protocol/directory.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { CERTIFICATE_HEADER, doneSchema, PEERING_PATHS, relayTokenSchema } from "./peering_schema.ts";

/** Supernodes asked for one wish. */
const ASKED = 6;
const MAX_KNOWN = 4096;

export interface PeeringOptions {
  readonly supernodeId: string;
  readonly directory: Pick<DirectoryClient, "candidates" | "find"> | undefined;
  readonly http: Pick<SignedHttp, "call">;
  readonly clock: Clock;
  readonly log: Log;
  isBlocked(supernodeId: string): boolean;
  /** Whether no way to it is known at present. */
  isDown(supernodeId: string): boolean;
  /** How long an answer over the link to it takes, when that is known. */
  linkLatencyMs(supernodeId: string): number | undefined;
}

/** Where a supernode is. */
type Place = Pick<SupernodeRecord, "url" | "peeringUrl">;

export class Peering {
  readonly #options: PeeringOptions;
  readonly #places = new Map<string, Place>();
  /** Of these, the ones that could not be reached there. */
  readonly #doubted = new Set<string>();

  constructor(options: PeeringOptions) {
    this.#options = options;
  }

  /** Exits of other supernodes that would do, with the way to them counted in. What does not answer in time is left out. */
  async candidates(request: ExitPeerRequest, withinMs: number): Promise<ExitCandidate[]> {
    const { directory, supernodeId, isBlocked, isDown, clock, log } = this.#options;
    if (!directory) return [];
    using limit = deadline(clock, withinMs, "ask other supernodes for exits");
    const { region } = request.wish;
    const query = { ...(region !== undefined && { region }), exclude: [supernodeId], signal: limit.signal };
    const supernodes = (await directory.candidates(query))
      .filter((one) => !isBlocked(one.supernodeId) && !isDown(one.supernodeId)).slice(0, ASKED);
    const lists = await Promise.all(supernodes.map(async (supernode) => {
      this.#remember(supernode.supernodeId, supernode);
      const startMs = clock.now();
      try {
        const { candidates } = await this.#call(supernode.supernodeId, PEERING_PATHS.exits, {
          body: request,
          answer: exitPeerResponseSchema,
          signal: limit.signal,
        });
        const wayMs = this.#options.linkLatencyMs(supernode.supernodeId) ?? clock.now() - startMs;
        return candidates.filter((candidate) => candidate.supernodeId === supernode.supernodeId)
          .map((candidate) => ({ ...candidate, latencyMs: (candidate.latencyMs ?? 0) + wayMs }));
      } catch (error) {
        log.info("A supernode did not say which exits it has", {
          supernode_id: supernode.supernodeId,
          error: messageOf(error),
        });
        return [];
      }
    }));
    return lists.flat();
  }

  setUp(supernodeId: string, request: ExitSetupRequest, signal?: AbortSignal): Promise<ExitSetupResponse> {
    return this.#call(supernodeId, PEERING_PATHS.setups, { body: request, answer: exitSetupResponseSchema, signal });
  }

  async end(supernodeId: string, request: ExitEndRequest): Promise<void> {
    await this.#call(supernodeId, PEERING_PATHS.ends, { body: request, answer: doneSchema });
  }

  /** Which of these sessions that supernode does not know. */
  check(supernodeId: string, body: SessionCheck, signal: AbortSignal): Promise<SessionCheckResponse> {
    return this.#call(supernodeId, PEERING_PATHS.checks, { body, answer: sessionCheckResponseSchema, signal });
  }

  async notify(supernodeId: string, notice: ExitNotice): Promise<void> {
    await this.#call(supernodeId, PEERING_PATHS.notices, { body: notice, answer: doneSchema });
  }

  /** What opens a data link to that supernode, and where it is. */
  async relayToken(
    supernodeId: string,
    signal: AbortSignal,
  ): Promise<{ readonly token: string; readonly url: string }> {
    const { relayToken } = await this.#call(supernodeId, PEERING_PATHS.tokens, {
      body: {},
      answer: relayTokenSchema,
      signal,
    });
    return { token: relayToken, url: (await this.#placeOf(supernodeId)).url };
  }

  async #call<T>(
    supernodeId: string,
    path: string,
    call: Pick<Parameters<SignedHttp["call"]>[0], "body" | "signal"> & {
      readonly answer: { safeParse(value: unknown): { success: true; data: T } | { success: false } };
    },
  ): Promise<T> {
    if (this.#options.isBlocked(supernodeId)) {
      throw new DialError("unauthorized", `Supernode ${supernodeId} is blocked`);
    }
    const { url: main, peeringUrl = main } = await this.#placeOf(supernodeId);
    const url = new URL(path, httpUrl(peeringUrl));
    try {
      return await this.#options.http.call({
        ...call,
        url,
        recipient: supernodeId,
        deed: `ask supernode ${supernodeId}`,
      });
    } catch (error) {
      // It may be somewhere else by now.
      if (error instanceof HttpCallError && error.code !== "http_refused") this.#doubted.add(supernodeId);
      throw error;
    }
  }

  /** The host in that supernode's URL. Rejects when nobody knows where it is. */
  async hostOf(supernodeId: string): Promise<string> {
    return new URL((await this.#placeOf(supernodeId)).url).hostname.replace(/^\[(.*)\]$/, "$1");
  }

  async #placeOf(supernodeId: string): Promise<Place> {
    const known = this.#places.get(supernodeId);
    if (known && !this.#doubted.has(supernodeId)) return known;
    const found = await this.#find(supernodeId, known);
    if (!found) throw new DialError("path_down", `Nobody knows where supernode ${supernodeId} is`);
    this.#remember(supernodeId, found);
    return found;
  }

  /** Where base says it is; when base says nothing, where it was. */
  async #find(supernodeId: string, known: Place | undefined): Promise<Place | undefined> {
    try {
      return await this.#options.directory?.find(supernodeId) ?? known;
    } catch (error) {
      if (!known) throw error;
      return known;
    }
  }

  #remember(supernodeId: string, { url, peeringUrl }: Place): void {
    this.#doubted.delete(supernodeId);
    this.#places.delete(supernodeId);
    this.#places.set(supernodeId, { url, peeringUrl });
    if (this.#places.size <= MAX_KNOWN) return;
    const [oldest] = this.#places.keys();
    this.#places.delete(oldest!);
    this.#doubted.delete(oldest!);
  }
}

function httpUrl(url: string): string {
  return url.replace(/^ws/, "http");
}

export interface PeeringHttpOptions {
  readonly identity: Identity;
  /** This supernode's own, in a closed network. */
  readonly certificate?: (() => string) | undefined;
  /** The host's by default. */
  readonly fetch?: Fetch | undefined;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
}

/** How the calls are signed, and shown to be a supernode's. */
export function peeringHttp(options: PeeringHttpOptions): SignedHttp {
  const { identity, certificate, primitives, clock, random } = options;
  return new SignedHttp({
    signer: identity,
    clock,
    random,
    primitives,
    fetch: (request) => {
      if (certificate) request.headers.set(CERTIFICATE_HEADER, certificate());
      return (options.fetch ?? fetch)(request);
    },
  });
}
