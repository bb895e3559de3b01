/**
 * What a tracker does with the requests of peers: each method takes one and gives what becomes JSON, JSON as text, a Response,
 * or a Problem.
 */

import { equalInConstantTime } from "../../protocol/constant_time.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatIp, isV4Mapped, parseIp } from "../../protocol/ip.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { type CardRefusal, refusalOfCard } from "../../protocol/peers/card.ts";
import {
  type Heartbeat,
  heartbeatSchema,
  MAX_LISTED,
  peerFilterSchema,
  peerQuerySchema,
  type Register,
  type RelayStatus,
  reportSchema,
} from "../../protocol/tracker/messages.ts";
import { cardText } from "../../protocol/tracker/peer_table.ts";
import { makeToken, markOf, peerOfToken } from "../../protocol/tracker/token.ts";
import { peerIdSchema } from "../../protocol/fields.ts";
import { bearerOf } from "../bearer.ts";
import { Admission } from "../directory/admission.ts";
import { Problem, type ProblemCode, schemaProblem } from "../problem.ts";
import { readBody } from "../read_body.ts";
import { register } from "./api.ts";
import type { TrackerDeps, TrackerOrigin } from "./deps.ts";
import { arrayText, listedText, type ListingOptions, pageText } from "./listing.ts";
import { PeerEvents } from "./peer_events.ts";

/** JSON that is text already. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A heartbeat as it came. */
export interface PlainHeartbeat {
  /** From `Authorization: Bearer`. */
  readonly token: string | undefined;
  readonly body: Uint8Array;
  /** The host that it names, as in URLs. */
  host(): string | undefined;
}

/** Who has shown a token that is theirs. */
interface Caller {
  readonly peerId: string;
  readonly token: string;
}

/** A card of more is none that is worth its room: eight addresses, four relays and a certificate are less. */
const MAX_CARD_CHARACTERS = 4096;
const MAX_BODY_BYTES = 1024;
const FULL_RETRY_MS = 60_000;

const CARD_DETAILS: Readonly<Record<CardRefusal, readonly [ProblemCode, string]>> = {
  malformed: ["bad_request", "Cannot list the peer: its keys and signatures must be base64"],
  wrong_peer_id: ["wrong_peer", "Cannot list the peer: its id must be that of its public key"],
  bad_binding: ["bad_binding", "Cannot list the peer: its sealing key must be signed by its identity"],
  bad_signature: ["bad_signature", "Cannot list the peer: its card must be signed by its identity"],
};

export class TrackerPeers implements Disposable {
  readonly #admission: Admission;
  readonly #events: PeerEvents;
  readonly #deps: TrackerDeps;
  readonly #log: Log;
  readonly #listing: ListingOptions;
  readonly #joinToken: Uint8Array | undefined;
  readonly #startedMs: number;
  readonly #heard: JsonText;
  readonly #denying: Disposable;
  readonly #watching: Disposable;

  constructor(deps: TrackerDeps) {
    const { clock, store, deny, joinToken } = deps;
    this.#deps = deps;
    this.#log = deps.log ?? silentLog;
    this.#startedMs = clock.now();
    this.#heard = new JsonText(`{"intervalMs":${deps.intervalMs}}`);
    this.#joinToken = joinToken === undefined ? undefined : new TextEncoder().encode(joinToken);
    const find = (_kind: string, peerId: string) =>
      Promise.resolve(deny.current.hasPeer(peerId) ? denied(peerId) : undefined);
    this.#admission = new Admission({ ...deps, blocks: { find } });
    this.#listing = {
      standingOf: (peerId) => store.reputations.of(peerId),
      wallOf: (seenMs) => Math.round(clock.wallNow() - clock.now() + seenMs),
    };
    const listed = (deps.metrics ?? noMetrics).gauge("tracker_peers", "Peers that are listed");
    listed.set(store.peers.size);
    this.#watching = store.subscribe((change) => {
      listed.set(store.peers.size);
      // Another process on the store may turn away others than this one.
      if (change.type !== "left" && deny.current.hasPeer(change.entry.peerId)) void this.#removeDenied();
    });
    this.#events = new PeerEvents({ ...deps, textOf: (peerId) => this.#textOf(peerId) });
    this.#denying = deny.subscribe(() => void this.#removeDenied());
    void this.#removeDenied(); // of those that the store knows from before
  }

  [Symbol.dispose](): void {
    this.#denying[Symbol.dispose]();
    this.#watching[Symbol.dispose]();
    this.#events[Symbol.dispose]();
  }

  /** The problem with a request that is refused before anything of it is looked at. `host` is the one it names. */
  refusalOfOrigin({ remoteAddress }: TrackerOrigin, host: () => string | undefined): Problem | undefined {
    const refusal = this.#admission.refusalOfOrigin(remoteAddress, host);
    const { current } = this.#deps.deny;
    if (refusal || remoteAddress === undefined || current.size === 0) return refusal;
    const address = parseIp(observed(remoteAddress));
    return address && current.hasAddress(address) ? turnedAway() : undefined;
  }

  async register(request: Request, { remoteAddress }: TrackerOrigin): Promise<JsonText | Problem> {
    const admitted = await this.#admission.admit(request, { schema: register.body, signer: "peer", changes: true });
    if (admitted instanceof Problem) return admitted;
    const { body, signature: { peerId } } = admitted;
    const { store, random, primitives, intervalMs, ttlMs } = this.#deps;
    const card = cardText(body.card);
    const refusal = this.#refusalOfJoining(body, peerId, card);
    if (refusal) return refusal;
    const token = makeToken(peerId, random);
    const mark = markOf(token, primitives);
    const { region, capabilities } = body.card;
    const observedAddress = observed(remoteAddress);
    const entry = { peerId, card, region, capabilities, observedAddress, mark };
    const result = await store.register(entry, saidOf(body));
    if (result === "joined") this.#log.debug("A peer is listed", { peer_id: peerId, region });
    const peers = arrayText(store.peers.sample(body.numwant ?? MAX_LISTED, random, peerId), this.#listing);
    const known = JSON.stringify({ token, intervalMs, ttlMs, ...observedAddress !== "" && { observedAddress } });
    return new JsonText(`${known.slice(0, -1)},"peers":${peers}}`);
  }

  async heartbeat({ token, body }: Pick<PlainHeartbeat, "token" | "body">): Promise<JsonText | Problem> {
    const caller = this.#callerOf(token);
    if (caller instanceof Problem) return caller;
    const said = saidIn(body);
    if (said instanceof Problem) return said;
    const verdict = await this.#deps.store.heartbeat(caller.peerId, caller.token, said);
    if (verdict === "good") return this.#heard;
    return verdict === "wrong" ? wrongToken() : unknownPeer();
  }

  async heartbeatOf(request: Request): Promise<JsonText | Problem> {
    const body = await readBody(request, MAX_BODY_BYTES);
    return body ? await this.heartbeat({ token: bearerOf(request), body }) : tooLarge();
  }

  async unregister(request: Request): Promise<unknown> {
    const caller = await this.#knownCaller(request);
    if (caller instanceof Problem) return caller;
    await this.#deps.store.unregister(caller.peerId);
    return {};
  }

  async report(request: Request): Promise<unknown> {
    const caller = await this.#knownCaller(request);
    if (caller instanceof Problem) return caller;
    const bytes = await readBody(request, MAX_BODY_BYTES);
    if (!bytes) return tooLarge();
    const report = reportSchema.safeParse(parseJson(bytes));
    if (!report.success) return schemaProblem(report.error);
    if (report.data.about === caller.peerId) {
      return new Problem("bad_request", "Cannot take the report: it must be about another peer");
    }
    const { store } = this.#deps;
    // About whom nobody knows, nobody asks.
    if (store.peers.find(report.data.about)) await store.report(caller.peerId, report.data);
    return {};
  }

  async list(request: Request): Promise<JsonText | Problem> {
    const refusal = await this.#refusalOfReading(request);
    if (refusal) return refusal;
    const query = peerQuerySchema.safeParse(Object.fromEntries(new URL(request.url).searchParams));
    if (!query.success) return schemaProblem(query.error);
    return new JsonText(pageText(this.#deps.store.peers.page(query.data), this.#listing));
  }

  async find(request: Request, id: string): Promise<JsonText | Problem> {
    const refusal = await this.#refusalOfReading(request);
    if (refusal) return refusal;
    const text = peerIdSchema.safeParse(id).success ? this.#textOf(id) : undefined;
    return text === undefined ? unknownPeer() : new JsonText(text);
  }

  async follow(request: Request): Promise<Response | Problem> {
    const refusal = await this.#refusalOfReading(request);
    if (refusal) return refusal;
    const filter = peerFilterSchema.safeParse(Object.fromEntries(new URL(request.url).searchParams));
    return filter.success ? this.#events.open(filter.data) : schemaProblem(filter.error);
  }

  status(): RelayStatus {
    const { store, clock, version, intervalMs, ttlMs, joinToken } = this.#deps;
    return {
      status: "ok",
      version,
      peers: store.peers.size,
      relays: store.peers.count({ capability: "relay" }),
      uptimeMs: Math.round(clock.now() - this.#startedMs),
      intervalMs,
      ttlMs,
      closed: joinToken !== undefined,
    };
  }

  #textOf(peerId: string): string | undefined {
    const peer = this.#deps.store.peers.find(peerId);
    return peer && listedText(peer, this.#listing);
  }

  #refusalOfJoining({ card, joinToken = "" }: Register, peerId: string, text: string): Problem | undefined {
    if (this.#joinToken && !equalInConstantTime(new TextEncoder().encode(joinToken), this.#joinToken)) {
      return new Problem("unauthorized", "Cannot list the peer: joinToken must be the one that this tracker asks for");
    }
    if (card.peerId !== peerId) {
      return new Problem("wrong_peer", `Cannot list the peer: the card must be its signer's own, ${peerId}`);
    }
    if (text.length > MAX_CARD_CHARACTERS) {
      const got = `at most ${MAX_CARD_CHARACTERS} characters, got ${text.length}`;
      return new Problem("too_large", `Cannot list the peer: its card must have ${got}`);
    }
    // The same card was good before, and checking one takes longer than all else.
    if (this.#deps.store.peers.find(peerId)?.card === text) return undefined;
    const refusal = refusalOfCard(card, this.#deps.primitives);
    return refusal && new Problem(...CARD_DETAILS[refusal]);
  }

  /** Whose token it says it is, within the rate of that token: by its peer's, others could use that up with wrong ones. */
  #callerOf(token: string | undefined): Caller | Problem {
    const peerId = token === undefined ? undefined : peerOfToken(token);
    if (token === undefined || peerId === undefined) return wrongToken();
    const { limits, clock, deny } = this.#deps;
    if (deny.current.hasPeer(peerId)) return turnedAway();
    const waitMs = limits.takePeer(token, clock.now());
    if (waitMs === 0) return { peerId, token };
    return new Problem("rate_limited", "Cannot take the request: this peer has asked too often; wait and try again", {
      retryAfterMs: Math.ceil(waitMs),
    });
  }

  async #knownCaller(request: Request): Promise<Caller | Problem> {
    const caller = this.#callerOf(bearerOf(request));
    if (caller instanceof Problem) return caller;
    const verdict = await this.#deps.store.check(caller.peerId, caller.token);
    return verdict === "good" ? caller : verdict === "wrong" ? wrongToken() : unknownPeer();
  }

  async #refusalOfReading(request: Request): Promise<Problem | undefined> {
    if (!this.#joinToken) return undefined;
    const caller = await this.#knownCaller(request);
    return caller instanceof Problem ? caller.code === "not_found" ? wrongToken() : caller : undefined;
  }

  async #removeDenied(): Promise<void> {
    const { store, deny } = this.#deps;
    try {
      for (const peerId of deny.current.peers) if (store.peers.find(peerId)) await store.unregister(peerId);
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      this.#log.warn("A peer that is denied could not be removed", { error: error.message });
    }
  }
}

/** What a heartbeat says, if anything. */
function saidIn(body: Uint8Array): Heartbeat | Problem {
  if (body.length === 0) return {};
  if (body.length > MAX_BODY_BYTES) return tooLarge();
  const said = heartbeatSchema.safeParse(parseJson(body));
  return said.success ? said.data : schemaProblem(said.error);
}

/** As an IPv4 address where it is one; empty if it is none at all, which a proxy may have passed on. */
function observed(remoteAddress: string | undefined): string {
  const address = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
  return address ? formatIp(isV4Mapped(address) ? address.slice(12) : address) : "";
}

/** Only what was said: what is left out stays as it was. */
function saidOf({ load, left }: Heartbeat): Heartbeat {
  return { ...load !== undefined && { load }, ...left !== undefined && { left } };
}

function denied(peerId: string) {
  return { kind: "peer" as const, peerId, by: "deny list", reason: "", sinceMs: 0 };
}

function turnedAway(): Problem {
  return new Problem("blocked", "Cannot take the request: its sender must not be on this tracker's deny list");
}

function wrongToken(): Problem {
  return new Problem("unauthorized", "Cannot take the request: its bearer token must be one from registering", {
    headers: { "www-authenticate": 'Bearer realm="culvert"' },
  });
}

function unknownPeer(): Problem {
  return new Problem("not_found", "Cannot find the peer: it must be listed; register again");
}

function tooLarge(): Problem {
  return new Problem("too_large", `Cannot take the request: its body must be at most ${MAX_BODY_BYTES} bytes`);
}

/** What is told when there is no room. */
export function fullProblem(): Problem {
  return new Problem("busy", "Cannot list the peer: this tracker lists as many as it may; try another", {
    retryAfterMs: FULL_RETRY_MS,
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
