/**
 * A client's sessions: asking its supernode for an exit, believing nobody's word for whose key that is, and what the
 * commands ROTATE_PEER and DISCONNECT mean here.
 */

import { openSessionPath } from "../../net/session_path.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import type { OpenSession } from "../../net/watched_session.ts";
import type { PeerConnection } from "../../net/peer_connection.ts";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { DialError } from "../../protocol/errors.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { CommandHandlers } from "../peer/commands.ts";
import type { PeerParts } from "../peer/open_peer.ts";
import type { RoleContext } from "../role.ts";

/** How long a supernode is waited for when it is told of something that is over. */
const RELEASE_WITHIN_MS = 2_000;

export interface ClientSessionsOptions {
  readonly parts: PeerParts;
  readonly context: Pick<RoleContext, "log" | "metrics" | "clock">;
  connection(): PeerConnection;
}

export class ClientSessions {
  readonly #options: ClientSessionsOptions;

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
  }

  /** `RequestExitEndpoint`: an exit that meets the wish, and the way there. */
  async request(wish: ExitWish, signal?: AbortSignal): Promise<OpenSession> {
    const { session } = await this.#options.connection().control.request({ what: "exit", wish }, signal);
    try {
      return this.open(session);
    } catch (error) {
      this.release(session.sessionId);
      throw error;
    }
  }

  /** Opens what is offered. Throws `unauthorized` when the key is not shown to be the exit's. */
  open({ sessionId, exit, expiresAtMs }: SessionOffer): OpenSession {
    const { parts, context, connection } = this.#options;
    const { primitives, network, clock, identity } = parts;
    const refusal = refusalOfPeerKeys(exit, { role: "exit", wallMs: clock.wallNow(), primitives, network });
    if (refusal) {
      throw new DialError("unauthorized", `Cannot use the exit that was offered: its keys are no good (${refusal})`);
    }
    const path = openSessionPath({
      ...parts,
      log: context.log,
      metrics: context.metrics,
      session: { sessionId, exitKey: decodeBase64(exit.wireguardKey) as Bytes, exitPeerId: exit.peerId },
      open: (signal) => connection().open(signal),
      at: identity.peerId,
    });
    return { sessionId, exitPeerId: exit.peerId, expiresAtMs, path };
  }

  /** Tells the supernode that a session is not used any more, if it can be told. */
  release(sessionId: string): void {
    const { control } = this.#options.connection();
    if (!control.isOpen) return;
    control.request({ what: "end_session", sessionId }, AbortSignal.timeout(RELEASE_WITHIN_MS)).catch(() => {});
  }

  /**
   * After the control stream has come back: ends sessions of an earlier process, and drops one that the supernode no
   * longer knows.
   */
  async reconcile(exits: SessionSwitch): Promise<void> {
    const { sessionIds } = await this.#options.connection().control.request({ what: "sessions" });
    const known = new Set(sessionIds);
    const mine = exits.sessionIds;
    for (const sessionId of known) if (!mine.has(sessionId)) this.release(sessionId);
    for (const sessionId of mine) if (!known.has(sessionId)) exits.drop(sessionId);
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
