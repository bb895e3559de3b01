/**
 * A supernode, put together.
 *
 *   FrontDoor ─┬─ /control ─→ StreamManager ─→ requests: RequestExit, tokens, sessions
 *              ├─ /relay ───→ DataLinks ─────→ streams joined by session
 *              └─ /v1/… ────→ peering API ───→ HostedExits, Rotation
 *
 * Here is only who knows whom: what each part does is in its file.
 */

import type { Hono } from "hono";
import type { BlockList } from "../../kv/blocks.ts";
import { Deadlines, sharedWait } from "../../net/deadlines.ts";
import type { CertificateAndKey } from "../../net/renewable_listener.ts";
import { AuthLimits } from "../../protocol/control/auth_limits.ts";
import type { CommandOrder, SupernodeAddress } from "../../protocol/control/commands.ts";
import { Nonces } from "../../protocol/control/nonces.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import type { StreamEnd } from "../../protocol/control/stream_server.ts";
import type { SupernodeStatus } from "../../protocol/directory.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { SessionEnd } from "../../protocol/session.ts";
import type { Block } from "../../protocol/stored_records.ts";
import { tracedFetch } from "../traced_fetch.ts";
import { BlockWatch } from "./block_watch.ts";
import { CommandOutbox, type CommandOutcome, newId } from "./command_outbox.ts";
import { DataLinks, type Route } from "./data_links.ts";
import { ExitWatch } from "./exit_watch.ts";
import { FrontDoor, nothingHere } from "./front_door.ts";
import { answerRequest } from "./info_requests.ts";
import type { SupernodeOptions } from "./options.ts";
import { Peering, peeringHttp } from "./peering.ts";
import { createPeeringApi, type PeeringEnv, peeringLimits } from "./peering_api.ts";
import { type LinkHolder, RelayTokens } from "./relay_tokens.ts";
import { SessionWork } from "./session_work.ts";
import { Sessions } from "./sessions.ts";
import type { ExitGrant } from "./request_exit.ts";
import type { StaticWish } from "./static_sessions.ts";
import { type ControlStream, StreamManager } from "./stream_manager.ts";
import { SupernodeLinks } from "./supernode_links.ts";
import { turnAway } from "./turning_away.ts";

/** A socket that has said goodbye waits for the other's so long. */
const LINGER_MS = 2_000;
/** A connected peer that does not hear by then that it is to leave will find out by itself. */
const TELL_WITHIN_MS = 10_000;

export class Supernode implements AsyncDisposable {
  /** Called when there are exits in a region for the first time, or none any more. */
  onExits: () => void = () => {};
  readonly #options: SupernodeOptions;
  readonly #blocks: BlockWatch;
  readonly #api: Hono<PeeringEnv>;
  readonly #door: FrontDoor;
  readonly tokens: RelayTokens;
  readonly #lingering: Deadlines<() => void>;
  readonly outbox: CommandOutbox;
  readonly streams: StreamManager;
  readonly sessions: Sessions;
  readonly links: DataLinks;
  readonly #supernodeLinks: SupernodeLinks;
  readonly #exits: ExitWatch;
  readonly #peering: Peering;
  readonly #work: SessionWork;
  readonly #stop = new AbortController();
  readonly #tasks: Promise<void>[] = [];

  /** Reads back what was kept. `listen` follows. */
  static async open(options: SupernodeOptions): Promise<Supernode> {
    const supernode = new Supernode(options, await options.stores.blocks.list());
    try {
      await supernode.#restore();
    } catch (error) {
      await supernode[Symbol.asyncDispose]();
      throw error;
    }
    return supernode;
  }

  private constructor(options: SupernodeOptions, blocks: BlockList) {
    this.#options = options;
    const { identity, stores, clock, random, log, metrics, tracing, directory } = options;
    const supernodeId = identity.peerId;
    const shared = { clock, random, log, metrics, tracing };
    this.tokens = new RelayTokens(clock, random);
    this.#blocks = new BlockWatch(blocks, {
      store: stores.blocks,
      clock,
      log,
      turnAway: (block) => this.#turnAway(block),
    });
    this.#lingering = new Deadlines<() => void>(clock, LINGER_MS, (expire) => expire());
    const onForgot = (peerId: string) => void this.#work.lost.forgottenBy(peerId);
    this.outbox = new CommandOutbox({
      store: stores.queues,
      ...shared,
      onForgot,
      ...options.onCommandEnd && { onOutcome: options.onCommandEnd },
    });
    this.sessions = new Sessions({ supernodeId, store: stores.sessions, clock, log, metrics });
    this.streams = this.#makeStreams();
    this.links = this.#makeLinks();
    const isConnected = (peerId: string) => this.streams.get(peerId) !== undefined;
    this.#supernodeLinks = this.#makeSupernodeLinks(isConnected);
    this.#exits = new ExitWatch({
      ...shared,
      supernodeId,
      sessions: this.sessions,
      streams: this.streams,
      links: this.links,
      supernodeLinks: this.#supernodeLinks,
      rotation: () => this.#work.rotation,
      probe: options.linkParts?.probe,
      everyMs: options.pace?.probeEveryMs,
      onExits: () => this.onExits(),
    });
    const peering = this.#peering = new Peering({
      ...{ supernodeId, directory, clock, log, http: peeringHttp(options) },
      isBlocked: (id) => this.#blocks.has("supernode", id),
      isDown: (id) => this.#supernodeLinks.isDown(id),
      linkLatencyMs: (id) => this.#exits.probes.latencyMs({ kind: "supernode", id }),
    });
    const { outbox, sessions, streams, links } = this;
    const { pool } = this.#exits;
    this.#work = new SessionWork({
      ...{ ...options, supernodeId, sessions, outbox, streams, links, pool },
      relayAddresses: stores.relayAddresses,
      ownKeys: () => this.#ownKeys(),
      supernodeLinks: this.#supernodeLinks,
      peering,
      lookEveryMs: options.pace?.lookEveryMs,
      isRevoked: (peerId) => this.#blocks.has("peer", peerId),
    });
    this.#api = this.#makeApi();
    this.#door = this.#makeDoor();
    const { signal } = this.#stop;
    this.#tasks.push(this.#blocks.run(signal), this.#work.run(signal));
  }

  get supernodeId(): string {
    return this.#options.identity.peerId;
  }

  get maxStreams(): number {
    return this.#options.maxStreams;
  }

  /** Whom administrators have turned away, as far as is known here. */
  get blocked(): Iterable<Block> {
    return this.#blocks.list;
  }

  /** Begins to take connections, and gives where. Throws as `Deno.listen` does. */
  listen(at: { readonly hostname: string; readonly port: number }): Deno.NetAddr {
    return this.#door.open(at);
  }

  /** Answers another supernode. */
  answer(request: Request, remoteAddress: string | undefined): Response | Promise<Response> {
    return tracedFetch(this.#options.tracing, (asked) => this.#api.fetch(asked, { remoteAddress }))(request);
  }

  /** Connections that come from now on get this certificate. Only where there was one. */
  renewTls(tls: CertificateAndKey): void {
    this.#door.renewTls(tls);
  }

  /** Where a stream of the session goes on that comes from there; rejects with a DialError when it cannot. */
  route(sessionId: string, from: LinkHolder): Promise<Route> {
    return this.#supernodeLinks.route(sessionId, from);
  }

  /** How things stand, for base. */
  get status(): SupernodeStatus {
    const { maxStreams } = this.#options;
    const streams = this.streams.size;
    return {
      load: Math.min(1, streams / maxStreams),
      streams,
      exits: this.#exits.pool.size,
      exitRegions: this.#exits.pool.regions,
      draining: this.streams.isDraining,
    };
  }

  /** Orders a peer something, and gives what became of it. */
  push(peerId: string, order: CommandOrder): Promise<CommandOutcome> {
    return this.outbox.push(peerId, order);
  }

  /** Ends a session, and has its exit and its client let go of it. False if there is none. */
  endSession(sessionId: string, reason: SessionEnd): Promise<boolean> {
    return this.#work.ending.end(sessionId, reason);
  }

  /** A session for a client that nobody hears of. */
  grantStatic(wish: StaticWish): Promise<ExitGrant> {
    return this.#work.statics.grant(wish);
  }

  /**
   * Lets nobody in any more, and tells the peers to go elsewhere, which they do at times of their own choosing within
   * `leaveWithinMs`. Sessions stay as they are until their peers have gone.
   */
  drain(supernodes: readonly SupernodeAddress[], leaveWithinMs: number): void {
    this.streams.drain();
    const payload = { reason: "drain" as const, supernodes: [...supernodes].slice(0, 8), leaveWithinMs };
    for (const stream of this.streams) {
      const commandId = newId(this.#options.random);
      const order = { kind: "RELAY_UPDATE" as const, commandId, payload, timeoutMs: TELL_WITHIN_MS };
      void this.outbox.push(stream.machine.peer!.peerId, order);
    }
    for (const exitPeerId of this.#exits.pool) this.#work.rotation.tellOwners(exitPeerId, "supernode_drains");
  }

  /** Lets go of everything, and settles when nothing runs any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#door.close();
    this.#work[Symbol.dispose]();
    this.#exits[Symbol.dispose]();
    this.#supernodeLinks[Symbol.dispose]();
    this.streams.close();
    this.links.close();
    await this.#door.closed();
    await this.streams.closed();
    await Promise.all([
      ...this.#tasks,
      this.links.closed(),
      this.#supernodeLinks.closed(),
      this.#work.closed(),
    ]);
    await this.outbox.closed();
    this.#lingering[Symbol.dispose]();
  }

  #makeStreams(): StreamManager {
    const options = this.#options;
    const { identity, region, certificate, network, primitives, stores, clock, random, log, metrics } = options;
    const { pingEveryMs, timeoutMs, sweepEveryMs } = options.pace ?? {};
    return new StreamManager({
      context: {
        ...pingEveryMs !== undefined && { pingEveryMs },
        ...timeoutMs !== undefined && { timeoutMs },
        identity,
        region,
        certificate,
        network,
        primitives,
        nonces: new Nonces(),
        limits: new AuthLimits(random, options.authLimits),
        wallNow: () => clock.wallNow(),
      },
      outbox: this.outbox,
      nonces: stores.nonces,
      clock,
      lingering: sharedWait(this.#lingering),
      log,
      metrics,
      maxStreams: options.maxStreams,
      sweepEveryMs,
      isRevoked: (peerId) => this.#blocks.has("peer", peerId),
      relayToken: (id) => this.tokens.issue({ kind: "peer", id }),
      onJoined: (stream) => {
        this.#exits.joined(stream);
        this.#work.statics.exitJoined(stream.machine.peer!.peerId);
      },
      onLeft: (stream, reason) => this.#onLeft(stream, reason),
      onHeartbeat: (stream) => this.#exits.heard(stream),
      answer: (stream, request) =>
        answerRequest(stream.machine.peer!, request, {
          requests: this.#work.requests,
          renewals: this.#work.renewals,
          sessions: this.sessions,
          relayToken: (id) => this.tokens.issue({ kind: "peer", id }),
          leave: (sessionId) => this.#work.ending.end(sessionId, "client_left", "client"),
          ended: (sessionId, reason) => this.#work.lost.endedByExit(sessionId, reason),
          isHere: () => this.streams.get(stream.machine.peer!.peerId) === stream,
        }),
    });
  }

  #makeLinks(): DataLinks {
    const { identity, region, clock, log, metrics, maxLinks } = this.#options;
    return new DataLinks({
      clock,
      log,
      metrics,
      maxLinks,
      at: identity.peerId,
      region,
      route: (sessionId, from) => this.route(sessionId, from),
      onLinked: ({ kind, id }) => {
        log.debug("A data link is open", { holder: kind, peer_id: id });
        if (kind === "peer") this.#work.returning.came(id);
      },
      onUnlinked: (holder) => {
        this.#exits.unlinked(holder);
        if (holder.kind === "supernode") this.#work.checks.doubt(holder.id);
      },
    });
  }

  #makeSupernodeLinks(isConnected: (peerId: string) => boolean): SupernodeLinks {
    const { identity, clock, random, log, caCerts, linkParts } = this.#options;
    const { sessions, links } = this;
    return new SupernodeLinks({
      ...{ supernodeId: identity.peerId, sessions, links, clock, random, log, caCerts, isConnected },
      dial: linkParts?.dial,
      exitBack: (exitPeerId) => this.#work.returning.wait(exitPeerId),
      peering: () => this.#peering,
      onReached: (id) => this.#exits.probes.watch({ kind: "supernode", id }),
      onUnreachable: (id) => {
        this.#exits.probes.forget({ kind: "supernode", id });
        this.#work.rotation.leaveSupernode(id, () => this.#supernodeLinks.canReach(id));
      },
    });
  }

  #makeApi(): Hono<PeeringEnv> {
    const { identity, clock, primitives, random, stores, network, log, metrics } = this.#options;
    const { hosted, checks, rotation } = this.#work;
    return createPeeringApi({
      recipient: identity.peerId,
      clock,
      primitives,
      nonces: stores.nonces,
      blocks: stores.blocks,
      limits: peeringLimits(random),
      network,
      log,
      metrics,
      exits: (request) => hosted.candidates(request),
      setUp: (request, supernodeId) => hosted.setUp(request, supernodeId),
      end: (request, supernodeId) => hosted.end(request, supernodeId),
      notice: (notice, supernodeId) => rotation.heard(notice, supernodeId),
      check: (check, supernodeId) => checks.answer(check, supernodeId),
      relayToken: (id) => this.tokens.issue({ kind: "supernode", id }),
    });
  }

  #ownKeys(): PeerKeys {
    const { identity, certificate } = this.#options;
    return peerKeysOf(identity, certificate?.());
  }

  #makeDoor(): FrontDoor {
    const { tls, clock, log, metrics, maxStrangersPerAddress, isPeeringElsewhere } = this.#options;
    return new FrontDoor({
      tls,
      clock,
      log,
      metrics,
      limits: maxStrangersPerAddress === undefined ? {} : { maxStrangersPerAddress },
      fetch: isPeeringElsewhere ? nothingHere : (request, remoteAddress) => this.answer(request, remoteAddress),
      streams: this.streams,
      links: this.links,
      tokens: this.tokens,
      isBlocked: ({ kind, id }) => this.#blocks.has(kind, id),
    });
  }

  #onLeft(stream: ControlStream, reason: StreamEnd | undefined): void {
    // Whose certificate has ended belongs to the network no longer.
    if (reason === "expired") this.links.end({ kind: "peer", id: stream.machine.peer!.peerId });
    this.#exits.left(stream);
  }

  async #restore(): Promise<void> {
    await this.outbox.restore();
    await this.#work.restore();
  }

  async #turnAway(block: Block): Promise<void> {
    const { links, streams, outbox, sessions } = this;
    const { ending, rotation } = this.#work;
    const endSession = ending.end.bind(ending);
    await turnAway(block, { links, streams, outbox, sessions, rotation, endSession });
  }
}
