/**
 * A client's sessions: asking its supernode for an exit, believing nobody's word for whose key that is, and what the
 * commands ROTATE_PEER and DISCONNECT mean here.
 */

import type { ControlStream } from "../../net/control.ts";
import type { ClientSession } from "../../net/session_path.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import type { OpenSession, SessionWay } from "../../net/watched_session.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { orAborted } from "../../protocol/abort.ts";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import type { CertificateRefusal } from "../../protocol/certificate.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { DialError } from "../../protocol/errors.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { CommandHandlers } from "../peer/commands.ts";

export interface ClientSessionsOptions {
  readonly primitives: Primitives;
  readonly network: ClosedNetwork | undefined;
  readonly clock: Clock;
  /** Where exits have to be; anywhere unless given. */
  readonly region?: string | undefined;
  control(): ControlStream;
  /** The way through a session whose exit's key has been checked. */
  openWay(session: ClientSession): SessionWay;
}

export class ClientSessions {
  readonly #options: ClientSessionsOptions;
  #reconciling: Promise<void> = Promise.resolve();
  #hasReconciled = false;

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
  }

  /** `RequestExitEndpoint`: an exit that meets the wish, and the way there. */
  async request(wish: ExitWish, signal: AbortSignal): Promise<OpenSession> {
    const control = this.#options.control();
    await control.opened(signal);
    await orAborted(this.#reconciling, signal);
    const { session } = await control.request({ what: "exit", wish }, signal);
    try {
      return this.open(session);
    } catch (error) {
      this.release(session.sessionId);
      throw error;
    }
  }

  /** Opens what is offered. Throws `unauthorized` when the key is not shown to be the exit's. */
  open(offer: SessionOffer): OpenSession {
    const { sessionId, exit, expiresAtMs } = offer;
    this.#check(offer);
    const exitKey = decodeBase64(exit.wireguardKey) as Bytes;
    const path = this.#options.openWay({ sessionId, exitKey, exitPeerId: exit.peerId });
    return { sessionId, exitPeerId: exit.peerId, expiresAtMs, path };
  }

  /** Throws `unauthorized` unless the exit has shown that it is one, there, and that the key is its own. */
  #check({ exit, region }: SessionOffer): void {
    const { primitives, network, clock, region: wanted } = this.#options;
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
    const control = this.#options.control();
    if (control.isOpen) control.request({ what: "end_session", sessionId }).catch(() => {});
  }

  /**
   * The control stream is open: ends what an earlier process has left, the first time, and drops what the supernode no
   * longer knows. No session is asked for meanwhile, or it might be taken for one that was left.
   */
  async reconcile(exits: SessionSwitch): Promise<void> {
    const reconciling = this.#reconcile(exits);
    this.#reconciling = reconciling.catch(() => {});
    await reconciling;
  }

  async #reconcile(exits: SessionSwitch): Promise<void> {
    const control = this.#options.control();
    const { sessionIds } = await control.request({ what: "sessions" });
    const mine = exits.sessionIds;
    for (const sessionId of mine) if (!sessionIds.includes(sessionId)) exits.drop(sessionId);
    if (this.#hasReconciled) return;
    this.#hasReconciled = true;
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
