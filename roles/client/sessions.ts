/**
 * A client's sessions: asking its supernode for an exit, believing nobody's word for whose key that is, and what the
 * commands ROTATE_PEER and DISCONNECT mean here.
 */

import type { ControlStream } from "../../net/control.ts";
import type { ClientSession } from "../../net/session_path.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import type { OpenSession, SessionWay, SupernodeWay } from "../../net/watched_session.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { orAborted } from "../../protocol/abort.ts";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import { type ExitWish, MAX_SESSIONS } from "../../protocol/control/messages.ts";
import type { CertificateRefusal } from "../../protocol/certificate.ts";
import type { Carries, RelayMode } from "../../protocol/control/packets.ts";
import { type PeerKeysCheck, refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import { refusalOfTermination, type TerminationRefusal } from "../../protocol/control/terminating_supernode.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { DialError } from "../../protocol/errors.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { CommandHandlers } from "../peer/commands.ts";

/** What a client says whose region nobody has told it. */
export const UNKNOWN_REGION = "any";

export interface ClientSessionsOptions {
  readonly primitives: Primitives;
  readonly network: ClosedNetwork | undefined;
  readonly clock: Clock;
  /** Where exits have to be; anywhere unless given. */
  readonly region?: string | undefined;
  /** What sessions have to carry. Default: streams. */
  readonly carries?: Carries | undefined;
  /** How packets are to be relayed. Default: blindly, so that no supernode can read them. */
  readonly relay?: RelayMode | undefined;
  control(): ControlStream;
  /** The way to the supernode. */
  way(): SupernodeWay;
  /** The way through a session whose exit's key has been checked. */
  openWay(session: ClientSession): SessionWay;
}

/** What is wrong with where a tunnel ends, unless it is the supernode's keys. */
const WRONG_ENDS: ReadonlyMap<string, string> = new Map<TerminationRefusal, string>([
  ["not_wished", "its relay must be blind, and is not"],
  ["not_terminated", "its relay must be one that terminates the tunnel, and is not"],
  ["other_supernode", "another supernode terminates the tunnel"],
]);

export class ClientSessions {
  readonly #options: ClientSessionsOptions;
  #reconciling: Promise<void> = Promise.resolve();
  /** Supernodes of which it is known what an earlier process has left there. */
  readonly #settledWith = new Set<string>();
  /** Session → the supernode that has granted it. */
  readonly #grantedBy = new Map<string, string>();
  /** Let go of, and the supernode has not said that it knows. */
  readonly #released = new Set<string>();

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
  }

  /** `RequestExitEndpoint`: an exit that meets the wish, and the way there. */
  async request(wish: ExitWish, signal: AbortSignal): Promise<OpenSession> {
    const control = this.#options.control();
    await control.opened(signal);
    await orAborted(this.#reconciling, signal);
    const held = [...this.#grantedBy.keys()].slice(-MAX_SESSIONS);
    const { session } = await control.request({ what: "exit", wish, held }, signal);
    try {
      return await this.open(session, signal);
    } catch (error) {
      this.release(session.sessionId);
      throw error;
    }
  }

  /** Has the supernode let a session last longer, and gives until when. */
  async renew(sessionId: string, signal: AbortSignal): Promise<number> {
    return (await this.#options.control().request({ what: "renew", sessionId }, signal)).expiresAtMs;
  }

  /** The way to the supernode, as sessions see it. */
  get way(): SupernodeWay {
    return this.#options.way();
  }

  /** Opens what is offered, as far as to be tried. Throws `unauthorized` when the key is not shown to be the exit's. */
  async open(offer: SessionOffer, signal: AbortSignal): Promise<OpenSession> {
    const { sessionId, exit, expiresAtMs, packets, region } = offer;
    this.#check(offer);
    const { control, openWay } = this.#options;
    this.#grantedBy.set(sessionId, control().supernode.supernodeId);
    const exitKey = decodeBase64(exit.wireguardKey) as Bytes;
    const path = openWay({ sessionId, exitKey, exitPeerId: exit.peerId, ...packets && { packets } });
    try {
      await orAborted(path.opened ?? Promise.resolve(), signal);
    } catch (error) {
      path.close();
      this.#grantedBy.delete(sessionId);
      throw error;
    }
    return { sessionId, exitPeerId: exit.peerId, region, expiresAtMs, path };
  }

  /** Throws `unauthorized` unless the exit has shown that it is one, there, and that the key is its own. */
  #check(offer: SessionOffer): void {
    const { exit, region, packets } = offer;
    const { region: wanted, carries = "streams", relay = "blind", control } = this.#options;
    const cannot = (why: string) => new DialError("unauthorized", `Cannot use the exit that was offered: ${why}`);
    if (wanted !== undefined && region !== wanted) throw cannot(`it must be in ${wanted}, got one in ${region}`);
    if ((carries === "packets") !== (packets !== undefined)) throw cannot(`it must carry ${carries}, and does not`);
    const wrong = this.#refusal((check) => refusalOfPeerKeys(exit, { ...check, role: "exit", region }));
    if (wrong !== undefined) throw cannot(`its keys are no good (${wrong})`);
    const { supernodeId } = control().supernode;
    const badEnd = this.#refusal((check) => refusalOfTermination(offer, { ...check, relay, supernodeId }));
    if (badEnd !== undefined) throw cannot(WRONG_ENDS.get(badEnd) ?? `the supernode's keys are no good (${badEnd})`);
  }

  /** What a check finds wrong, with what is wrong with a certificate. */
  #refusal(find: (check: Omit<PeerKeysCheck, "role" | "region">) => string | undefined): string | undefined {
    const { primitives, network, clock } = this.#options;
    let fault: CertificateRefusal | undefined;
    const refusal = find({
      wallMs: clock.wallNow(),
      primitives,
      network,
      onBadCertificate: (refusal) => fault = refusal,
    });
    return refusal && refusal + (fault ? `: ${fault}` : "");
  }

  /** Tells the supernode that a session is not used any more; if it cannot be told, when the control stream is back. */
  release(sessionId: string): void {
    const control = this.#options.control();
    this.#grantedBy.delete(sessionId);
    this.#released.add(sessionId);
    if (this.#released.size > MAX_SESSIONS) this.#released.delete(this.#released.values().next().value!);
    if (!control.isOpen) return;
    control.request({ what: "end_session", sessionId }).then(() => this.#released.delete(sessionId), () => {});
  }

  /** Whether the session in use is one of another supernode, which this client has left. */
  hasMoved({ present }: SessionSwitch): boolean {
    const { supernodeId } = this.#options.control().supernode;
    return present !== undefined && this.#grantedBy.get(present.sessionId) !== supernodeId;
  }

  /**
   * The control stream is open: ends what an earlier process has left, the first time, and what was let go of while the
   * supernode could not be told; drops what the supernode no longer knows of what it has granted. No session is asked for meanwhile, or it might be taken for one that was left.
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
    const { supernodeId } = control.supernode;
    for (const sessionId of this.#grantedBy.keys()) if (!mine.has(sessionId)) this.#grantedBy.delete(sessionId);
    for (const [sessionId, grantedBy] of this.#grantedBy) {
      if (grantedBy === supernodeId && !sessionIds.includes(sessionId)) exits.drop(sessionId);
    }
    const isFirst = !this.#settledWith.has(supernodeId);
    this.#settledWith.add(supernodeId);
    for (const sessionId of sessionIds) {
      const isLeft = isFirst ? !mine.has(sessionId) : this.#released.has(sessionId);
      if (isLeft) await control.request({ what: "end_session", sessionId });
    }
    // What another supernode has granted ends there, once this client has been away for a while.
    this.#released.clear();
  }

  handlers(exits: () => SessionSwitch): CommandHandlers {
    return {
      ROTATE_PEER: {
        apply: async ({ sessionId, payload }, signal) => {
          const next = await this.open(payload.next, signal);
          try {
            await exits().rotate(sessionId, next, { drainMs: payload.drainMs, signal });
          } catch (error) {
            this.#grantedBy.delete(next.sessionId);
            throw error;
          }
        },
      },
      DISCONNECT: {
        apply: ({ sessionId }) => {
          const ended = sessionId === undefined ? [...exits().sessionIds] : [sessionId];
          for (const each of ended) {
            exits().drop(each);
            this.#grantedBy.delete(each);
          }
        },
      },
    };
  }
}
