/**
 * Base as a Hono app: the directory of supernodes and relays, over HTTP. Design §4, §6.
 *
 *   request ─▶ admission (edge/directory/admission.ts) ─▶ store (kv/directory.ts) ─▶ JSON, or problem+json
 *
 * It holds no state that matters, so several processes may serve one store. What it offers, and what each request must
 * look like, is in `edge/directory/api.ts`; `/openapi.json` and the page at `/` are made from that.
 *
 * Not here: listening, TLS, opening the store (`main_directory.ts`, `roles/base.ts`).
 */

import { type Context, Hono } from "hono";
import type { BlockList, BlockStore } from "../kv/blocks.ts";
import type { DirectoryStore } from "../kv/directory.ts";
import {
  relayQuerySchema,
  type RelayRecord,
  type RelayRegistration,
  SUPERNODE_HEARTBEAT_MS,
} from "../protocol/directory.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type Metrics, noMetrics } from "../protocol/metrics.ts";
import { isOwnSealingKey } from "../protocol/sealing_key.ts";
import { serveDescription } from "./api_description.ts";
import { Admission, type AdmissionDeps } from "./directory/admission.ts";
import * as api from "./directory/api.ts";
import { HeartbeatWriter } from "./directory/heartbeats.ts";
import { isStillCertified, type MembershipDeps, refusalOfClaim, refusalOfGateway } from "./directory/membership.ts";
import { RelayListing } from "./directory/relay_listing.ts";
import { type JsonOperation, openApiOf } from "./openapi.ts";
import { Problem, schemaProblem } from "./problem.ts";

export interface DirectoryDeps extends AdmissionDeps, MembershipDeps {
  readonly store: DirectoryStore;
  readonly blocks: Pick<BlockStore, "find" | "list">;
  readonly version: string;
  readonly log?: Log;
  readonly metrics?: Metrics;
}

/** What whoever serves the app tells it of a request: `app.fetch(request, { remoteAddress })`. */
export interface DirectoryEnv {
  readonly Bindings: {
    /** The IP address it came from; without one no limit per address is kept. */
    readonly remoteAddress?: string | undefined;
  };
}

const DEFAULT_CANDIDATES = 8;
/** A store that fails now may work again soon. */
const STORE_RETRY_MS = 1000;

export function createDirectory(deps: DirectoryDeps): Hono<DirectoryEnv> {
  const app = new Hono<DirectoryEnv>();
  const directory = new Directory(deps);
  const serve = (operation: JsonOperation, handle: (request: Request) => Promise<unknown>) =>
    app.on(operation.method.toUpperCase(), operation.path, (context) => directory.answer(context, operation, handle));

  app.use(async (context, next) => {
    await next();
    context.header("x-content-type-options", "nosniff");
    if (!context.res.headers.has("cache-control")) context.header("cache-control", "no-store");
  });
  serve(api.health, () => Promise.resolve({ status: "ok", version: deps.version }));
  app.use(async (context, next) => {
    const refusal = directory.admission.refusalOfAddress(context.req.raw, context.env?.remoteAddress);
    return refusal ? directory.refuse(refusal, "any") : await next();
  });
  serve(api.registerSupernode, (request) => directory.registerSupernode(request));
  serve(api.heartbeat, (request) => directory.heartbeat(request));
  serve(api.requestExitRegion, (request) => directory.requestExitRegion(request));
  serve(api.registerRelay, (request) => directory.registerRelay(request));
  serve(api.listRelays, (request) => directory.listRelays(request));
  serveDescription(app, () => openApiOf(api.directoryApi(deps.version)));
  app.notFound((context) => directory.refuse(nothingHere(app, context.req.path), "any"));
  app.onError((error) => directory.refuse(directory.problemOf(error), "any"));
  return app;
}

/** Whether it is the address or only the method that nobody serves. */
function nothingHere(app: Hono<DirectoryEnv>, path: string): Problem {
  const methods = new Set(app.routes.filter((route) => route.path === path).map(({ method }) => method));
  methods.delete("ALL");
  if (methods.size === 0) return new Problem("not_found", "Cannot answer: the path must be one of openapi.json");
  const allow = [...methods].join(", ");
  return new Problem("wrong_method", `Cannot answer: the method must be ${allow}`, { headers: { allow } });
}

class Directory {
  readonly admission: Admission;
  readonly #deps: DirectoryDeps;
  readonly #log: Log;
  readonly #heartbeats: HeartbeatWriter;
  readonly #relays: RelayListing;
  readonly #requests;

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
    this.#log = deps.log ?? silentLog;
    this.admission = new Admission(deps);
    this.#heartbeats = new HeartbeatWriter(deps.store.supernodes);
    this.#relays = new RelayListing({
      store: deps.store.relays,
      clock: deps.clock,
      shown: async (records) => this.#shownRelays(records, await deps.blocks.list()),
    });
    this.#requests = (deps.metrics ?? noMetrics).counter(
      "directory_requests_total",
      "Requests to the directory by operation and by how they ended: ok, or the code of the problem",
      ["operation", "result"],
    );
  }

  /** Answers with what the handler gives: a Problem, or what becomes JSON. */
  async answer(
    context: Context,
    { id, answer }: JsonOperation,
    handle: (request: Request) => Promise<unknown>,
  ): Promise<Response> {
    const result = await handle(context.req.raw).catch((error) => this.problemOf(error));
    if (result instanceof Problem) return this.refuse(result, id);
    this.#requests.add(1, { operation: id, result: "ok" });
    return context.json(result, answer.status);
  }

  refuse(problem: Problem, operation: string): Response {
    this.#requests.add(1, { operation, result: problem.code });
    return problem.response();
  }

  /** What is told of an error; what it was stays in the log. */
  problemOf(error: unknown): Problem {
    const isStore = error instanceof CulvertError && error.code.startsWith("store_");
    this.#log.error(isStore ? "The directory's store failed" : "A request failed", { error: messageOf(error) });
    return isStore
      ? new Problem("unavailable", "Cannot answer now: the store must be reachable; try again", {
        retryAfterMs: STORE_RETRY_MS,
      })
      : new Problem("internal", "Cannot answer: something went wrong here, and the log of this base says what");
  }

  async registerSupernode(request: Request): Promise<unknown> {
    const schema = api.registerSupernode.body;
    const admitted = await this.admission.admit(request, { schema, signer: "supernode", changes: true });
    if (admitted instanceof Problem) return admitted;
    const { body, signature } = admitted;
    const { supernodeId: peerId, publicKey, region, certificate } = body;
    const refusal = refusalOfClaim({ peerId, publicKey, role: "supernode", region, certificate }, signature, {
      ...this.#deps,
      nowMs: this.#deps.clock.wallNow(),
    });
    if (refusal) return refusal;
    const record = await this.#deps.store.supernodes.register(body);
    this.#log.info("A supernode has registered", { peer_id: peerId, region });
    return record;
  }

  async heartbeat(request: Request): Promise<unknown> {
    const schema = api.heartbeat.body;
    const admitted = await this.admission.admit(request, { schema, signer: "supernode", changes: false });
    if (admitted instanceof Problem) return admitted;
    const { heartbeats } = admitted.body;
    const { peerId } = admitted.signature;
    if (heartbeats.some(({ supernodeId }) => supernodeId !== peerId)) {
      return new Problem("wrong_peer", `Cannot note a heartbeat: it must be its signer's own, ${peerId}`);
    }
    return { unknown: await this.#heartbeats.note(heartbeats), nextWithinMs: SUPERNODE_HEARTBEAT_MS };
  }

  async requestExitRegion(request: Request): Promise<unknown> {
    const schema = api.requestExitRegion.body;
    const admitted = await this.admission.admit(request, { schema, signer: "supernode", changes: false });
    if (admitted instanceof Problem) return admitted;
    const { store, blocks } = this.#deps;
    const [asker, blocked] = await Promise.all([store.supernodes.find(admitted.signature.peerId), blocks.list()]);
    if (!asker) return new Problem("not_registered", "Cannot tell of exits: the asker must be a registered supernode");
    const { count = DEFAULT_CANDIDATES, which = "with_exits", ...query } = admitted.body;
    const found = await store.supernodes.list({ ...query, which });
    const supernodes = this.#shown(found, blocked, (record) => ["supernode", record.supernodeId]);
    return { supernodes: supernodes.slice(0, count) };
  }

  async registerRelay(request: Request): Promise<unknown> {
    const schema = api.registerRelay.body;
    const admitted = await this.admission.admit(request, { schema, signer: "peer", changes: true });
    if (admitted instanceof Problem) return admitted;
    const { body, signature } = admitted;
    const { relayId: peerId, publicKey, kind, region, certificate } = body;
    const refusal = refusalOfClaim({ peerId, publicKey, role: kind, region, certificate }, signature, {
      ...this.#deps,
      nowMs: this.#deps.clock.wallNow(),
    });
    if (refusal) return refusal;
    const unfit = this.#refusalOfKeys(body);
    if (unfit) return unfit;
    const record = await this.#deps.store.relays.register(body);
    this.#log.info("A relay has registered", { peer_id: peerId, region, kind });
    return record;
  }

  /** The problem with the keys of a relay or of a gateway that it names, or undefined. */
  #refusalOfKeys(relay: RelayRegistration): Problem | undefined {
    const { primitives } = this.#deps;
    if (!isOwnSealingKey(relay.relayId, relay, primitives)) {
      return new Problem("bad_binding", "Cannot register: the sealing key must be signed by the relay's identity");
    }
    const gateways = relay.gateways ?? [];
    if (gateways.length > 0 && relay.kind !== "relay") {
      return new Problem("bad_request", 'Cannot register: only a relay of the kind "relay" may name gateways');
    }
    const checks = { ...this.#deps, nowMs: this.#deps.clock.wallNow() };
    for (const gateway of gateways) {
      const refusal = refusalOfGateway(gateway, checks);
      if (refusal) return refusal;
    }
    return undefined;
  }

  async listRelays(request: Request): Promise<unknown> {
    const { count, ...rest } = Object.fromEntries(new URL(request.url).searchParams);
    const parsed = relayQuerySchema.safeParse({ ...rest, ...(count !== undefined && { count: Number(count) }) });
    if (!parsed.success) return schemaProblem(parsed.error);
    return await this.#relays.page(parsed.data);
  }

  #shownRelays(records: readonly RelayRecord[], blocked: BlockList): RelayRecord[] {
    return this.#shown(records, blocked, ({ relayId }) => ["peer", relayId]).map((record) => {
      if (!record.gateways) return record;
      return { ...record, gateways: this.#shown(record.gateways, blocked, ({ gatewayId }) => ["peer", gatewayId]) };
    });
  }

  /** Those that are neither blocked nor without a certificate that still counts. */
  #shown<R extends { readonly certificate?: string | undefined }>(
    records: readonly R[],
    blocked: BlockList,
    blockOf: (record: R) => Parameters<BlockList["has"]>,
  ): R[] {
    const { networkPublicKey, clock } = this.#deps;
    const now = { networkPublicKey, nowMs: clock.wallNow() };
    return records.filter((record) => !blocked.has(...blockOf(record)) && isStillCertified(record, now));
  }
}
