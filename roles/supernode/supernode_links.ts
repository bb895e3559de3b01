/**
 * Where the streams of a session go on: to the exit's data link, or over a link to the exit's supernode, which is made
 * when it is first wanted and again when it was lost.
 *
 *   a link with sessions is lost ──→ made again, three times within a second or two ──→ else: `onUnreachable`
 *
 * A supernode that was not reached counts as down for half a minute, or until a link to it has been made.
 */

import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { RELAY_PATH, supernodeEndpoint } from "../../protocol/control/endpoints.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { dialWebsocket } from "../../net/websocket_dial.ts";
import { WebsocketLink } from "../../net/websocket.ts";
import type { DataLinks, HeldLink, Route } from "./data_links.ts";
import type { Peering } from "./peering.ts";
import type { LinkHolder } from "./relay_tokens.ts";
import type { Sessions } from "./sessions.ts";

const CONNECT_WITHIN_MS = 5_000;
/** An exit that has lost its data link makes another in less. */
const EXIT_LINK_WITHIN_MS = 500;
const REGAIN_TRIES = 3;
const REGAIN_GAP_MS = 400;
const DOWN_MS = 30_000;

/** Where a data link leads, and what opens it. */
export interface LinkTarget {
  readonly url: string;
  readonly token: string;
}

export interface SupernodeLinksOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly links: DataLinks;
  peering(): Peering;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly caCerts?: readonly string[] | undefined;
  /** Makes a data link. Default: over a WebSocket at the supernode's URL. */
  dial?: ((at: LinkTarget, signal: AbortSignal) => Promise<HeldLink>) | undefined;
  /** Settles when an exit that is on its way back is there, or is not awaited any more. */
  exitBack(exitPeerId: string): Promise<void>;
  /** Whether the peer's control stream is here. */
  isConnected(peerId: string): boolean;
  /** A link to that supernode has been made. */
  onReached(supernodeId: string): void;
  /** Sessions need that supernode, and there is no way to it. */
  onUnreachable(supernodeId: string): void;
}

export class SupernodeLinks implements Disposable {
  readonly #options: SupernodeLinksOptions;
  readonly #made = new Map<string, HeldLink>();
  readonly #connecting = new Map<string, Promise<HeldLink>>();
  readonly #regaining = new Map<string, Promise<void>>();
  readonly #downUntilMs = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(options: SupernodeLinksOptions) {
    this.#options = options;
  }

  /** The link made to that supernode, if it is up. */
  linkOf(supernodeId: string): HeldLink | undefined {
    const made = this.#made.get(supernodeId);
    return made?.closed ? undefined : made;
  }

  /** Whether that supernode could not be reached a short while ago. */
  isDown(supernodeId: string): boolean {
    return (this.#downUntilMs.get(supernodeId) ?? -Infinity) > this.#options.clock.now();
  }

  /** Takes that supernode for unreachable, as its link carries nothing. */
  giveUp(supernodeId: string): void {
    const { clock, log, onUnreachable } = this.#options;
    for (const [id, untilMs] of this.#downUntilMs) if (untilMs <= clock.now()) this.#downUntilMs.delete(id);
    this.#downUntilMs.set(supernodeId, clock.now() + DOWN_MS);
    this.#made.get(supernodeId)?.close();
    log.warn("A supernode cannot be reached", { supernode_id: supernodeId });
    onUnreachable(supernodeId);
  }

  /** Rejects with a DialError when the session is not `from`'s, or its exit cannot be reached. */
  async route(sessionId: string, from: LinkHolder): Promise<Route> {
    const { sessions, supernodeId, links, isConnected } = this.#options;
    const record = sessions.served(sessionId);
    const owner = from.kind === "peer" ? record?.clientPeerId : record?.clientSupernodeId;
    // A supernode's own session must come from its client, or somebody could send its streams round in circles.
    if (!record || owner !== from.id || from.kind === "peer" !== sessions.isOwn(record)) {
      throw new DialError("unauthorized", "There is no such session, or it is not yours");
    }
    const exit = record.exit!;
    if (exit.supernodeId !== supernodeId) return { kind: "toExit", link: await this.#linkTo(exit.supernodeId) };
    const { exitBack } = this.#options;
    const holder = { kind: "peer", id: exit.exit.peerId } as const;
    if (!links.linkOf(holder)) await exitBack(holder.id);
    const link = links.linkOf(holder) ??
      (isConnected(holder.id) ? await links.linkSoon(holder, EXIT_LINK_WITHIN_MS) : undefined);
    if (!link) throw new DialError("path_down", "The exit is not connected at present");
    return { kind: "fromClient", link };
  }

  /** Whether a link to that supernode is there, or can be made. */
  async canReach(supernodeId: string): Promise<boolean> {
    return await this.#linkTo(supernodeId).then(() => true, () => false);
  }

  /** Streams will soon go there: a link that is up by then is a wait less, and knows how far it is. */
  prepare(supernodeId: string): void {
    this.#linkTo(supernodeId).catch(() => {}); // who needs it will be told
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DialError("path_down", "The supernode is closing"));
  }

  /** Settles when nothing runs any more. Dispose first. */
  async closed(): Promise<void> {
    await Promise.all([
      ...this.#regaining.values(),
      ...[...this.#connecting.values()].map((link) => link.catch(() => {})),
    ]);
  }

  #linkTo(supernodeId: string): Promise<HeldLink> {
    const made = this.linkOf(supernodeId);
    if (made) return Promise.resolve(made);
    const connecting = this.#connecting.get(supernodeId) ??
      this.#connect(supernodeId).finally(() => this.#connecting.delete(supernodeId));
    this.#connecting.set(supernodeId, connecting);
    connecting.catch(() => this.#regain(supernodeId));
    return connecting;
  }

  async #connect(supernodeId: string): Promise<HeldLink> {
    const { peering, clock } = this.#options;
    using limit = deadline(clock, CONNECT_WITHIN_MS, "reach another supernode", this.#stop.signal);
    try {
      const target = await peering().relayToken(supernodeId, limit.signal);
      const connection = await this.#dial({ kind: "supernode", id: supernodeId }, target, limit.signal);
      this.#made.set(supernodeId, connection);
      this.#downUntilMs.delete(supernodeId);
      void connection.ended.then(() => this.#lost(supernodeId, connection));
      this.#options.onReached(supernodeId);
      return connection;
    } catch (error) {
      throw new DialError("path_down", `The exit's supernode cannot be reached: ${messageOf(error)}`, { cause: error });
    }
  }

  async #dial(holder: LinkHolder, target: LinkTarget, signal: AbortSignal): Promise<HeldLink> {
    const { links, dial, random, caCerts } = this.#options;
    if (dial) {
      const link = await dial(target, signal);
      links.hold(holder, link);
      return link;
    }
    const headers = { Authorization: `Bearer ${target.token}` };
    const endpoint = supernodeEndpoint(target.url, RELAY_PATH);
    const { stream, first } = await dialWebsocket(endpoint, { headers, random, caCerts, signal });
    return links.carry(holder, new WebsocketLink(stream, links.pool, { first, random }), "client");
  }

  #lost(supernodeId: string, connection: HeldLink): void {
    if (this.#made.get(supernodeId) !== connection) return;
    this.#made.delete(supernodeId);
    this.#regain(supernodeId);
  }

  /** Makes the link again, where sessions need it. */
  #regain(supernodeId: string): void {
    if (this.#stop.signal.aborted || this.#regaining.has(supernodeId) || this.isDown(supernodeId)) return;
    if (this.#options.sessions.countVia(supernodeId) === 0) return;
    const regaining = this.#tryAgain(supernodeId).finally(() => this.#regaining.delete(supernodeId));
    this.#regaining.set(supernodeId, regaining);
  }

  async #tryAgain(supernodeId: string): Promise<void> {
    const { clock } = this.#options;
    for (let tries = 0; tries < REGAIN_TRIES; tries++) {
      if (await this.canReach(supernodeId)) return;
      await delay(clock, REGAIN_GAP_MS, this.#stop.signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
    }
    this.giveUp(supernodeId);
  }
}
