/**
 * A supernode's or relay's side of base (`edge/directory.ts`).
 *
 * Several bases may be given: they are asked in turn, beginning with the one that answered last. One that refuses (4xx)
 * has the last word, since the others keep the same records; one that cannot be reached or fails is passed over.
 *
 * Who has exits in a region is asked once for all who want to know it at the same time, and remembered:
 *
 *   younger than freshMs                    told at once, base is not asked; that there is nobody else, a tenth of it
 *   older                                   base is asked
 *   base is down, younger than keptMs       the last it said is told, and base is asked again after a growing wait
 *
 * A base that has forgotten us, or finds that we ask too often, counts as down here. One that is back may have lost what
 * it knew: until everybody has had the time to register, who was known before stays behind those that it names.
 * The wait is for regions it has answered for; who asks for another always makes it try. A record that base has given
 * may be of a supernode that is gone since: that shows when it is asked for an exit.
 */

import { orAborted } from "../protocol/abort.ts";
import { Backoff } from "../protocol/backoff.ts";
import { verifyCertificate } from "../protocol/certificate.ts";
import {
  type ExitRegionRequest,
  exitRegionResponseSchema,
  type HeartbeatResponse,
  heartbeatResponseSchema,
  MAX_CANDIDATES,
  type RelayList,
  relayListSchema,
  type RelayQuery,
  type RelayRecord,
  relayRecordSchema,
  type RelayRegistration,
  SUPERNODE_EXPIRY_MS,
  type SupernodeHeartbeat,
  type SupernodeRecord,
  supernodeRecordSchema,
  type SupernodeRegistration,
} from "../protocol/directory.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { peerIdFits } from "../protocol/identity.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type Call, HttpCallError, SignedHttp, type SignedHttpOptions } from "./signed_http.ts";

export interface DirectoryClientOptions extends SignedHttpOptions {
  /** Where base is; at least one. */
  readonly bases: readonly URL[];
  /** The key of a closed network: candidates without its certificate are left out, whatever base says. */
  readonly networkPublicKey?: Uint8Array | undefined;
  readonly log?: Log;
  /** Default 5 s. */
  readonly freshMs?: number;
  /** Default 1 h. */
  readonly keptMs?: number;
}

export interface CandidateQuery extends Omit<ExitRegionRequest, "only"> {
  readonly signal?: AbortSignal | undefined;
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What is asked for, and remembered, apart. */
type Place = Pick<ExitRegionRequest, "which" | "region">;

function keyOf({ which, region = "" }: Place): string {
  return `${which} ${region}`;
}

interface Remembered {
  readonly supernodes: readonly SupernodeRecord[];
  readonly atMs: number;
}

/** What a base says for the moment: it has forgotten us, who will register again, or has too much to do. */
const PASSING: readonly (string | undefined)[] = ["not_registered", "rate_limited"];

/** Whoever hears that there is nobody, or nobody but those he excludes, asks again, and somebody may come any moment. */
const NOBODY_FRESH_SHARE = 0.1;

/** Regions are few; a stranger who invents some must not fill the memory. */
const MAX_REGIONS = 256;

export class DirectoryClient implements Disposable {
  readonly #options: DirectoryClientOptions;
  readonly #http: SignedHttp;
  readonly #log: Log;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  readonly #regions = new Map<string, Remembered>();
  readonly #asking = new Map<string, Promise<readonly SupernodeRecord[]>>();
  #lastGood = 0;
  #downUntilMs = -Infinity;
  /** Until then base may not have heard of everybody again. */
  #settledAtMs = -Infinity;

  constructor(options: DirectoryClientOptions) {
    if (options.bases.length === 0) {
      throw new CulvertError("invalid_option", "Cannot use the directory: bases must name at least one, got none");
    }
    this.#options = options;
    this.#http = new SignedHttp(options);
    this.#log = options.log ?? silentLog;
    this.#backoff = new Backoff(options.random, { baseMs: 1000 });
  }

  /** Ends all calls; later ones fail. */
  [Symbol.dispose](): void {
    this.#closing.abort(new CulvertError("closed", "The directory's client was closed"));
  }

  register(registration: SupernodeRegistration, { signal }: CallOptions = {}): Promise<SupernodeRecord> {
    const deed = "register a supernode";
    return this.#call("v1/supernodes", { deed, body: registration, answer: supernodeRecordSchema, signal });
  }

  async heartbeat(heartbeats: readonly SupernodeHeartbeat[], options: CallOptions = {}): Promise<HeartbeatResponse> {
    const response = await this.#call("v1/supernodes/heartbeat", {
      deed: "send a heartbeat",
      body: { heartbeats },
      answer: heartbeatResponseSchema,
      signal: options.signal,
    });
    if (response.unknown.length > 0) this.#unsettle();
    return response;
  }

  registerRelay(registration: RelayRegistration, { signal }: CallOptions = {}): Promise<RelayRecord> {
    return this.#call("v1/relays", { deed: "register a relay", body: registration, answer: relayRecordSchema, signal });
  }

  /** One page, with where the next begins if there is one. */
  listRelays(query: RelayQuery = {}, { signal }: CallOptions = {}): Promise<RelayList> {
    const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
    return this.#call(`v1/relays?${text}`, { deed: "list relays", answer: relayListSchema, signal });
  }

  /** Supernodes with exits there, or others, the best first. What base has last said is told while it is down. */
  async candidates(query: CandidateQuery = {}): Promise<SupernodeRecord[]> {
    const { region, which = "with_exits", count = MAX_CANDIDATES, exclude = [], signal } = query;
    const place = { which, ...(region !== undefined && { region }) };
    const isWanted = ({ supernodeId }: SupernodeRecord) => !exclude.includes(supernodeId);
    const supernodes = this.#known(place, isWanted) ?? await orAborted(this.#ask(place), signal);
    return supernodes.filter(isWanted).slice(0, count);
  }

  /** One supernode, wherever it is and whatever it does; undefined when base does not know it. */
  async find(supernodeId: string, signal?: AbortSignal): Promise<SupernodeRecord | undefined> {
    const body: ExitRegionRequest = { which: "all", only: [supernodeId] };
    const answer = exitRegionResponseSchema;
    const { supernodes } = await this.#call("v1/exit-regions", { deed: "find a supernode", body, answer, signal });
    return supernodes.find((record) => record.supernodeId === supernodeId && this.#isGenuine(record));
  }

  /** What is told without asking base. */
  #known(place: Place, isWanted: (record: SupernodeRecord) => boolean): readonly SupernodeRecord[] | undefined {
    const { clock, freshMs = 5000, keptMs = 3_600_000 } = this.#options;
    const remembered = this.#regions.get(keyOf(place));
    const nowMs = clock.now();
    const staysFreshMs = remembered?.supernodes.some(isWanted) ? freshMs : freshMs * NOBODY_FRESH_SHARE;
    const goodForMs = nowMs < this.#downUntilMs ? keptMs : staysFreshMs;
    return remembered && nowMs - remembered.atMs < goodForMs ? remembered.supernodes : undefined;
  }

  /** Asks base, once for all who ask at the same time. */
  #ask(place: Place): Promise<readonly SupernodeRecord[]> {
    const key = keyOf(place);
    const asking = this.#asking.get(key) ?? this.#askBase(place, key).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #askBase(place: Place, key: string): Promise<readonly SupernodeRecord[]> {
    const { clock } = this.#options;
    const body: ExitRegionRequest = { count: MAX_CANDIDATES, ...place };
    try {
      const deed = "ask for exits";
      const answer = await this.#call("v1/exit-regions", { deed, body, answer: exitRegionResponseSchema });
      if (this.#downUntilMs > -Infinity) this.#unsettle();
      const named = answer.supernodes.filter((record) => this.#isGenuine(record));
      const supernodes = clock.now() < this.#settledAtMs ? this.#withKnown(key, named) : named;
      this.#remember(key, { supernodes, atMs: clock.now() });
      this.#downUntilMs = -Infinity;
      this.#backoff.reset();
      return supernodes;
    } catch (error) {
      if (!(error instanceof HttpCallError)) throw error;
      if (error.code === "http_refused" && !PASSING.includes(error.problem?.code)) throw error;
      this.#downUntilMs = clock.now() + this.#backoff.nextMs();
      const lastSaid = this.#lastSaid(key);
      if (!lastSaid) throw error;
      this.#log.warn("Base does not answer this now: what it last said is used", { error: error.message });
      return lastSaid;
    }
  }

  /** What base has said of it, unless that is too long ago. */
  #lastSaid(key: string): readonly SupernodeRecord[] | undefined {
    const { clock, keptMs = 3_600_000 } = this.#options;
    const remembered = this.#regions.get(key);
    return remembered && clock.now() - remembered.atMs < keptMs ? remembered.supernodes : undefined;
  }

  #unsettle(): void {
    this.#settledAtMs = this.#options.clock.now() + SUPERNODE_EXPIRY_MS;
  }

  #withKnown(key: string, named: readonly SupernodeRecord[]): SupernodeRecord[] {
    const ids = new Set(named.map(({ supernodeId }) => supernodeId));
    const others = this.#lastSaid(key)?.filter(({ supernodeId }) => !ids.has(supernodeId)) ?? [];
    return [...named, ...others].slice(0, MAX_CANDIDATES);
  }

  #remember(key: string, remembered: Remembered): void {
    this.#regions.delete(key);
    this.#regions.set(key, remembered);
    if (this.#regions.size > MAX_REGIONS) this.#regions.delete(this.#regions.keys().next().value!);
  }

  /** The record names itself truly, and in a closed network the network key vouches for it. */
  #isGenuine({ supernodeId: peerId, publicKey, region, certificate }: SupernodeRecord): boolean {
    const { networkPublicKey, primitives, clock } = this.#options;
    const key = decodeBase64(publicKey);
    if (!key || !peerIdFits(peerId, key, primitives)) return false;
    if (!networkPublicKey) return true;
    const check = { networkPublicKey, peerId, role: "supernode", region, nowMs: clock.wallNow(), primitives };
    return certificate !== undefined && verifyCertificate(certificate, check).ok;
  }

  async #call<T>(path: string, call: Omit<Call<T>, "url">): Promise<T> {
    const { bases } = this.#options;
    const signal = call.signal ? AbortSignal.any([this.#closing.signal, call.signal]) : this.#closing.signal;
    for (let tried = 1;; tried++) {
      const at = this.#lastGood;
      try {
        return await this.#http.call({ ...call, signal, url: below(bases[at]!, path) });
      } catch (error) {
        if (!(error instanceof HttpCallError) || error.code === "http_refused") throw error;
        if (this.#lastGood === at) this.#lastGood = (at + 1) % bases.length;
        if (tried >= bases.length) throw error;
        this.#log.debug("A base is passed over", { error: messageOf(error) });
      }
    }
  }
}

/** `path` under a base's own path, which need not end with a slash. */
function below(base: URL, path: string): URL {
  const root = base.pathname.endsWith("/") ? base : new URL(`${base.pathname}/`, base);
  return new URL(path, root);
}
