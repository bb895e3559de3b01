/**
 * A client's sessions: asking its supernode for an exit, believing nobody's word for whose key that is, and what the
 * commands ROTATE_PEER and DISCONNECT mean here.
 */

import { openSessionPath } from "../../net/session_path.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import type { OpenSession } from "../../net/watched_session.ts";
import type { PeerConnection } from "../../net/peer_connection.ts";
import { orAborted } from "../../protocol/abort.ts";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { SupernodeWay } from "../../net/watched_session.ts";
import { type ExitWish, MAX_SESSIONS } from "../../protocol/control/messages.ts";
import type { CertificateRefusal } from "../../protocol/certificate.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { DialError } from "../../protocol/errors.ts";
import type { Hop } from "../../protocol/stream.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { CommandHandlers } from "../peer/commands.ts";
import type { PeerParts } from "../peer/open_peer.ts";
import type { RoleContext } from "../role.ts";

/** What a client says whose region nobody has told it. */
export const UNKNOWN_REGION = "any";

export interface ClientSessionsOptions {
  readonly parts: PeerParts;
  readonly context: Pick<RoleContext, "log" | "metrics" | "clock">;
  /** The region this client is in. */
  readonly home: string;
  /** Where exits have to be; anywhere unless given. */
  readonly region?: string | undefined;
  connection(): PeerConnection;
}

export class ClientSessions {
  readonly #options: ClientSessionsOptions;
  #reconciling: Promise<void> = Promise.resolve();
  /** Supernodes of which it is known what an earlier process has left there. */
  readonly #settledWith = new Set<string>();
  /** Session → the supernode that has granted it. */
  readonly #grantedBy = new Map<string, string>();

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
  }

  /** `RequestExitEndpoint`: an exit that meets the wish, and the way there. */
  async request(wish: ExitWish, signal: AbortSignal): Promise<OpenSession> {
    const { control } = this.#options.connection();
    await control.opened(signal);
    await orAborted(this.#reconciling, signal);
    const held = [...this.#grantedBy.keys()].slice(-MAX_SESSIONS);
    const { session } = await control.request({ what: "exit", wish, held }, signal);
    try {
      return this.open(session);
    } catch (error) {
      this.release(session.sessionId);
      throw error;
    }
  }

  /** Has the supernode let a session last longer, and gives until when. */
  async renew(sessionId: string, signal: AbortSignal): Promise<number> {
    return (await this.#options.connection().control.request({ what: "renew", sessionId }, signal)).expiresAtMs;
  }

  /** The way to the supernode, as sessions see it. */
  get way(): SupernodeWay {
    return this.#options.connection();
  }

  /** Opens what is offered. Throws `unauthorized` when the key is not shown to be the exit's. */
  open(offer: SessionOffer): OpenSession {
    const { parts, context, connection } = this.#options;
    const { identity } = parts;
    const { sessionId, exit, expiresAtMs } = offer;
    this.#check(offer);
    this.#grantedBy.set(sessionId, connection().control.supernode.supernodeId);
    const path = openSessionPath({
      ...parts,
      log: context.log,
      metrics: context.metrics,
      session: { sessionId, exitKey: decodeBase64(exit.wireguardKey) as Bytes, exitPeerId: exit.peerId },
      open: (signal) => connection().open(signal),
      at: identity.peerId,
      about: () => this.#about(),
    });
    return { sessionId, exitPeerId: exit.peerId, expiresAtMs, path };
  }

  /** What the page `hello.culvert` tells of this client. */
  #about(): Pick<Hop, "region" | "rttMs"> {
    const { home, connection } = this.#options;
    const { linkRttMs } = connection();
    return { ...(home !== UNKNOWN_REGION && { region: home }), ...(linkRttMs !== undefined && { rttMs: linkRttMs }) };
  }

  /** Throws `unauthorized` unless the exit has shown that it is one, there, and that the key is its own. */
  #check({ exit, region }: SessionOffer): void {
    const { parts: { primitives, network, clock }, region: wanted } = this.#options;
    const cannot = (why: string) => new DialError("unauthorized", `Cannot use the exit that was offered: ${why}`);
    if (wanted !== undefined && region !== wanted) throw cannot(`it must be in ${wanted}, got one in ${region}`);
    let fault: CertificateRefusal | undefined;
    const refusal = refusalOfPeerKeys(exit, {
      role: "exit",
      region,
      wallMs: clock.wallNow(),
      primitives,
      network,
      onBadCertificate: (refusal) => fault = refusal,
    });
    if (refusal) throw cannot(`its keys are no good (${refusal}${fault ? `: ${fault}` : ""})`);
  }

  /** Tells the supernode that a session is not used any more, if it can be told. */
  release(sessionId: string): void {
    const { control } = this.#options.connection();
    this.#grantedBy.delete(sessionId);
    if (control.isOpen) control.request({ what: "end_session", sessionId }).catch(() => {});
  }

  /** Whether the session in use is one of another supernode, which this client has left. */
  hasMoved({ present }: SessionSwitch): boolean {
    const { supernodeId } = this.#options.connection().control.supernode;
    return present !== undefined && this.#grantedBy.get(present.sessionId) !== supernodeId;
  }

  /**
   * The control stream is open: ends what an earlier process has left, the first time, and drops what the supernode no
   * longer knows of what it has granted. No session is asked for meanwhile, or it might be taken for one that was left.
   */
  async reconcile(exits: SessionSwitch): Promise<void> {
    const reconciling = this.#reconcile(exits);
    this.#reconciling = reconciling.catch(() => {});
    await reconciling;
  }

  async #reconcile(exits: SessionSwitch): Promise<void> {
    const { control } = this.#options.connection();
    const { sessionIds } = await control.request({ what: "sessions" });
    const mine = exits.sessionIds;
    const { supernodeId } = control.supernode;
    for (const sessionId of this.#grantedBy.keys()) if (!mine.has(sessionId)) this.#grantedBy.delete(sessionId);
    for (const [sessionId, grantedBy] of this.#grantedBy) {
      if (grantedBy === supernodeId && !sessionIds.includes(sessionId)) exits.drop(sessionId);
    }
    if (this.#settledWith.has(supernodeId)) return;
    this.#settledWith.add(supernodeId);
    for (const sessionId of sessionIds) {
      if (!mine.has(sessionId)) await control.request({ what: "end_session", sessionId });
    }
  }

  handlers(exits: () => SessionSwitch): CommandHandlers {
    return {
      ROTATE_PEER: {
        apply: async ({ sessionId, payload }, signal) => {
          await exits().rotate(sessionId, this.open(payload.next), { drainMs: payload.drainMs, signal });
        },
      },
      DISCONNECT: {
        apply({ sessionId }) {
          const ended = sessionId === undefined ? [...exits().sessionIds] : [sessionId];
          for (const each of ended) exits().drop(each);
        },
      },
    };
  }
}
