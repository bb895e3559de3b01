/**
 * A client's own Path: through whichever node suits what its user name asks for, paid for as it goes.
 *
 *   dial → limits → policy → node (sticky, or chosen) → toll → the node's own Path → TollStream
 *                             └─ up to three, when it was the node's fault ─┘
 *
 * Names are resolved by the node, which looks at the addresses they lead to; addresses, ports and what else the
 * orchestrator's policy closes are refused here already. What a node answers about a target is told to the client as it is;
 * only when the node itself failed is another one tried, and of a session that must not rotate none is.
 */

import { DialError, type DialFailure, dialFailureOf } from "../../protocol/errors.ts";
import { formatIp } from "../../protocol/ip.ts";
import { parseHost } from "../../protocol/host.ts";
import { type Candidate, chooseNode, fits, mayServe } from "../../protocol/sharing/choice.ts";
import type { ProxyLogin, StickyRequest } from "../../protocol/sharing/proxy_login.ts";
import type { Toll } from "../../protocol/sharing/toll.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../../protocol/stream.ts";
import type { AbuseLimits } from "./abuse_limits.ts";
import type { AccountTools } from "./account_paths.ts";
import { CarriedStream } from "./carried_stream.ts";
import type { LiveNode } from "./live_nodes.ts";
import { TollDatagrams } from "./toll_datagrams.ts";
import { TollStream } from "./toll_stream.ts";

/** Nodes that are tried before the client hears of failure. */
const MAX_TRIES = 3;

export class AccountPath implements Path {
  readonly login: ProxyLogin;
  readonly #limits: AbuseLimits;
  readonly #tools: AccountTools;
  readonly #open = new Set<{ close(): void }>();
  #closed = false;

  constructor(login: ProxyLogin, limits: AbuseLimits, tools: AccountTools) {
    this.login = login;
    this.#limits = limits;
    this.#tools = tools;
  }

  /** Streams and datagram sockets open through it. */
  get openCount(): number {
    return this.#open.size;
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return await this.#admitted(target, async () => {
      this.#check(target);
      return await this.#through(options, {
        what: "stream",
        open: (node, signal) => node.path.dial(target, { ...options, signal }),
        wrap: (stream, toll, carried) => new TollStream(stream, toll, carried),
      });
    });
  }

  async datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return await this.#admitted(undefined, async () =>
      await this.#through(options, {
        what: "datagrams",
        open: (node, signal) => {
          if (!node.path.datagrams) {
            throw new DialError("unsupported", "Cannot associate: the node carries no datagrams");
          }
          return node.path.datagrams({ ...options, signal });
        },
        wrap: (datagrams, toll, carried) =>
          new TollDatagrams(
            datagrams,
            toll,
            carried.forDatagrams((to) => {
              this.#limits.admitTarget(to);
              this.#check(to);
            }),
          ),
      }));
  }

  close(): void {
    this.#closed = true;
    for (const each of this.#open) each.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Within the limits of the account, of which what was opened is a part until it ends. */
  async #admitted<T>(target: Target | undefined, open: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new DialError("path_down", "Cannot dial: the account's path was closed");
    this.#limits.admit(target);
    try {
      return await open();
    } catch (error) {
      this.#limits.released(target ? "stream" : "datagrams");
      throw error;
    }
  }

  /** Throws `denied` for what the orchestrator's policy closes. A name is looked at again where it is resolved. */
  #check(target: Target): void {
    const { policy } = this.#tools;
    const host = parseHost(target.host);
    if (host === undefined) throw new DialError("unresolved", "Cannot dial: the host is neither a name nor an address");
    const isName = typeof host === "string";
    const refusal = policy.current.checkName(isName ? host : formatIp(host), target.port) ??
      (isName ? undefined : policy.current.checkAddress(host, target.port));
    if (refusal) throw this.#limits.refusal("target_denied", "denied", refusal.message);
  }

  async #through<T extends { close(): void }, W extends { close(): void }>(
    { signal }: DialOptions,
    how: {
      readonly what: "stream" | "datagrams";
      open(node: LiveNode, signal: AbortSignal): Promise<T>;
      wrap(opened: T, toll: Toll, carried: CarriedStream): W;
    },
  ): Promise<W> {
    const tried = new Set<string>();
    let lastError: unknown;
    for (let turn = 0; turn < MAX_TRIES; turn++) {
      const next = this.#next(tried);
      if (!next) break;
      const { node, isBound } = next;
      const { toll, carried } = await this.#take(node);
      const attempt = await this.#attempt(node, how.open, signal);
      if ("opened" in attempt) {
        this.#tools.count(turn);
        const wrapped = how.wrap(attempt.opened, toll, carried);
        return this.#keep(wrapped, carried, how.what);
      }
      toll[Symbol.dispose]();
      this.#tools.sessions.closed(carried.session);
      signal?.throwIfAborted();
      if (attempt.isFor === "nobody") throw attempt.error;
      // A session does not leave a node that is there because of where one of its streams wants to go.
      if (attempt.isFor === "another" && isBound) throw this.#failure(attempt.error);
      tried.add(node.nodeId);
      lastError = attempt.error;
    }
    throw this.#failure(lastError);
  }

  async #take(node: LiveNode): Promise<{ toll: Toll; carried: CarriedStream }> {
    const { sessions, booth, clock, report } = this.#tools;
    const { userId } = this.login;
    const session = sessions.opened(userId, node);
    const { sessionId } = session;
    const { nodeId, ownerId, region } = node;
    try {
      const toll = await booth.open({ userId, sessionId, nodeId, ownerId, region });
      return { toll, carried: new CarriedStream({ session, limits: this.#limits, clock, report }) };
    } catch (error) {
      sessions.closed(session);
      throw error;
    }
  }

  async #attempt<T>(
    node: LiveNode,
    open: (node: LiveNode, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<{ opened: T } | Failed> {
    const { deadlines, clock, report } = this.#tools;
    const { nodeId } = node;
    const { userId } = this.login;
    const startMs = clock.now();
    using pending = deadlines.begin(signal);
    try {
      pending.signal.throwIfAborted();
      const opened = await open(node, pending.signal);
      report({ nodeId, userId, tookMs: clock.now() - startMs, kind: "dialled" });
      return { opened };
    } catch (error) {
      const tookMs = clock.now() - startMs;
      if (signal?.aborted) return { error, isFor: "nobody" };
      if (pending.signal.aborted) {
        report({ nodeId, userId, tookMs, kind: "silent" });
        return { error: pending.signal.reason, isFor: "any" };
      }
      const failure = dialFailureOf(error);
      if (isNodesFault(failure)) report({ nodeId, userId, tookMs, kind: "failed", failure });
      if (failure === "denied") {
        this.#limits.refusal("target_denied_by_node", "denied", "a node's policy, or where the name leads, forbids it");
      }
      return { error, isFor: isNodesFault(failure) ? "any" : mayDiffer.has(failure) ? "another" : "nobody" };
    }
  }

  #keep<W extends { close(): void }>(opened: W, carried: CarriedStream, what: "stream" | "datagrams"): W {
    this.#open.add(opened);
    carried.onEnd = () => {
      this.#open.delete(opened);
      this.#limits.released(what);
      this.#tools.sessions.closed(carried.session);
    };
    if (carried.isOver) carried.onEnd(); // cut before it began
    else if (this.#closed) opened.close();
    return opened;
  }

  /** The node for the next try. Binds the session to it at once: other streams of the session may be under way. */
  #next(tried: ReadonlySet<string>): { readonly node: LiveNode; readonly isBound: boolean } | undefined {
    const { session } = this.login;
    const bound = session && this.#bound(session, tried);
    const node = bound ?? this.#choose(tried);
    if (node && session) {
      const { sticky, clock } = this.#tools;
      sticky.use(this.login.userId, session.id, { nodeId: node.nodeId, ttlMs: session.ttlMs, nowMs: clock.now() });
    }
    return node && { node, isBound: bound !== undefined };
  }

  /** The node that the session is bound to. Throws when it has gone and the session must not rotate. */
  #bound(session: StickyRequest, tried: ReadonlySet<string>): LiveNode | undefined {
    const { sticky, nodes, clock } = this.#tools;
    const nodeId = sticky.nodeOf(this.login.userId, session.id, clock.now());
    if (nodeId === undefined) return undefined;
    const node = nodes.get(nodeId);
    // A session whose client now asks for another country is not held to the old one.
    if (node && !fits(node, this.login.choice)) return undefined;
    if (node && !tried.has(nodeId) && this.#isUsable(node)) return node;
    if (!session.isStrict) return undefined;
    throw new DialError("failed", "the node of this session has gone", { isForAll: true });
  }

  #choose(tried: ReadonlySet<string>): LiveNode | undefined {
    const { choice } = this.login;
    const { nodes, pools, quality, random } = this.#tools;
    if (choice.nodeId === undefined) return chooseNode(pools.of(choice), { quality, random, tried });
    const node = nodes.get(choice.nodeId);
    return node && fits(node, choice) && !tried.has(node.nodeId) && this.#isUsable(node) ? node : undefined;
  }

  #isUsable(node: Candidate): boolean {
    return node.isOpen && mayServe(this.#tools.quality(node.nodeId).standing);
  }

  /** What the client hears when no node is left: the last one's answer about the target, or that there is no way out. */
  #failure(lastError: unknown): unknown {
    const failure = lastError === undefined ? undefined : dialFailureOf(lastError);
    if (failure === "denied") {
      return new DialError("denied", "no node that was asked may reach that", { isForAll: true, cause: lastError });
    }
    if (failure !== undefined && mayDiffer.has(failure)) return lastError;
    if (failure === "timeout") return new DialError("timeout", "no node answered in time", { isForAll: true });
    if (failure === "busy") {
      return new DialError("busy", "the nodes have as much to do as they may", { isForAll: true });
    }
    const reason = failure === undefined
      ? "no node that fits what the user name asks for is connected"
      : "no node could be reached";
    return new DialError("failed", reason, { isForAll: true, cause: lastError });
  }
}

/** "any": the node failed, and any other may do better. "another": it did not, but another may have another answer. */
interface Failed {
  readonly error: unknown;
  readonly isFor: "any" | "another" | "nobody";
}

/** Nothing that the target could have brought about. */
function isNodesFault(failure: DialFailure): boolean {
  return failure === "path_down" || failure === "busy" || failure === "unauthorized" || failure === "failed";
}

/** No fault, but another node may have another policy, or IPv6, or UDP. */
const mayDiffer: ReadonlySet<DialFailure> = new Set(["denied", "network_unreachable", "unsupported"]);
