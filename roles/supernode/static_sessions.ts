/**
 * Sessions for clients that nobody hears of: a stock WireGuard app, configured once with the key of one exit. An
 * administrator has them granted, for days or months; they stay through everything but their end.
 *
 *   its exit comes ─────────────────────────────┐
 *   its exit has let go of it ──→ every minute ─┼──→ SETUP_EXIT under a new command, with the addresses it had
 *   the exit's supernode does not know it ──────┘
 *
 * One whose tunnel ends here goes to another exit like any other: its client need not know.
 */

import type { ExitWish } from "../../protocol/control/messages.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { Log } from "../../protocol/log.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { newId } from "./command_outbox.ts";
import type { ExitSetup } from "./exit_setup.ts";
import type { PacketSessions } from "./packet_sessions.ts";
import type { ExitGrant, RequestExit } from "./request_exit.ts";
import type { Sessions } from "./sessions.ts";

const DAY_MS = 86_400_000;
const SET_UP_WITHIN_MS = 10_000;
const AGAIN_EVERY_MS = 60_000;

export interface StaticSessionsOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly setup: Pick<ExitSetup, "begin">;
  readonly packets: PacketSessions;
  readonly requests: Pick<RequestExit, "grant">;
  readonly primitives: Primitives;
  readonly network?: ClosedNetwork | undefined;
  isRevoked(peerId: string): boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What an administrator asks for. */
export interface StaticWish {
  readonly keys: PeerKeys;
  readonly wish: ExitWish;
  readonly days: number;
  /** The exit it is to be at. Left out: the best. */
  readonly exitPeerId?: string | undefined;
}

export class StaticSessions {
  readonly #options: StaticSessionsOptions;
  /** Those that their exit here does not serve. */
  readonly #unserved = new Set<string>();
  /** Those whose port is not open, since somebody else has it. */
  readonly #closed = new Set<string>();
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(options: StaticSessionsOptions) {
    this.#options = options;
  }

  /** Rejects with a CulvertError `bad_keys` for keys that nobody would take, and as the store does. */
  async grant({ keys, wish, days, exitPeerId: only }: StaticWish): Promise<ExitGrant> {
    const { sessions, packets, requests, primitives, network, isRevoked, clock } = this.#options;
    const wallMs = clock.wallNow();
    const refusal = refusalOfPeerKeys(keys, { role: "client", wallMs, primitives, network });
    if (refusal) {
      throw new CulvertError("bad_keys", `Cannot grant a session: the keys must fit together, got ${refusal}`);
    }
    if (isRevoked(keys.peerId)) return { ok: false, reason: "forbidden", remark: "The client is revoked" };
    const count = [...sessions].filter(({ isStatic }) => isStatic).length;
    if (packets.isRelaying && count >= packets.maxStatic) {
      return { ok: false, reason: "busy", remark: "There are too many static sessions" };
    }
    const staticUntilMs = wallMs + Math.round(days * DAY_MS);
    return await requests.grant(keys, { ...wish, carries: "packets" }, { staticUntilMs, only });
  }

  /** An exit is connected here, and may have let go of them while it, or this supernode, was away. */
  exitJoined(exitPeerId: string): void {
    for (const record of this.#options.sessions.ofExit(exitPeerId)) if (isFixed(record)) void this.setUpAgain(record);
  }

  /** Its exit has let go of it, for reasons of its own. */
  letGo({ sessionId }: SessionRecord): void {
    this.#unserved.add(sessionId);
  }

  /** Its port could not be opened again. */
  keepClosed({ sessionId }: SessionRecord): void {
    this.#closed.add(sessionId);
  }

  /** Has its exit serve it, whether or not it does already. Once at a time. Never rejects. */
  setUpAgain({ sessionId }: SessionRecord): Promise<void> {
    const known = this.#underWay.get(sessionId);
    if (known) return known;
    const settingUp = this.#setUpAgain(sessionId).catch((error) =>
      this.#options.log.error("A static session was not set up again", {
        session_id: sessionId,
        error: messageOf(error),
      })
    ).finally(() => this.#underWay.delete(sessionId));
    this.#underWay.set(sessionId, settingUp);
    return settingUp;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, sessions, packets } = this.#options;
    while (!signal.aborted) {
      await delay(clock, AGAIN_EVERY_MS, signal).catch(() => {});
      if (!packets.isRelaying) continue;
      for (const sessionId of [...this.#closed, ...this.#unserved]) {
        const record = sessions.find(sessionId);
        if (signal.aborted) return;
        if (record && this.#closed.has(sessionId) && await packets.reopen(record)) this.#closed.delete(sessionId);
        if (record && this.#unserved.has(sessionId)) await this.setUpAgain(record);
        if (record) continue;
        this.#closed.delete(sessionId);
        this.#unserved.delete(sessionId);
      }
    }
  }

  /** Settles when nothing is under way. */
  async closed(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  async #setUpAgain(sessionId: string): Promise<void> {
    const { sessions, setup, packets, random, log } = this.#options;
    const record = await sessions.advance(sessionId, { kind: "set_up_again", setupCommandId: newId(random) });
    if (!record) return;
    const answer = await setup.begin(record, SET_UP_WITHIN_MS);
    const { status } = answer;
    log.info("A static session was set up again", { session_id: sessionId, status });
    if (status !== "applied") return;
    if (!packets.isAsGranted(record, answer)) {
      log.warn("An exit gives a static session other addresses than its client has", { session_id: sessionId });
    }
    await sessions.advance(sessionId, { kind: "set_up_again", packets: await packets.agreed(record, answer) });
    this.#unserved.delete(sessionId);
  }
}

/** Whether the session cannot leave its exit: nobody is connected for it, and its client speaks to the exit's own key. */
export function isFixed({ isStatic, wish }: SessionRecord): boolean {
  return isStatic === true && wish.relay !== "terminate";
}
