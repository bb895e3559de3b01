/**
 * Tells exits whom to serve and whom no longer, wherever they are: by command when they are connected here, through
 * their supernode when they are not.
 */

import type { CommandResult, Disconnect, SetupExit } from "../../protocol/control/commands.ts";
import type { ExitSetupRequest, ExitSetupResponse } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import { type CommandOutbox, newId } from "./command_outbox.ts";
import type { PacketSessions } from "./packet_sessions.ts";
import type { Peering } from "./peering.ts";

/** An exit that is away for longer has forgotten the session anyway: it has expired. */
const END_WITHIN_MS = 3_600_000;

export interface ExitSetupOptions {
  readonly supernodeId: string;
  readonly outbox: CommandOutbox;
  readonly peering: Pick<Peering, "setUp" | "end">;
  readonly packets: Pick<PacketSessions, "toldOf">;
  readonly random: Random;
  readonly log: Log;
  /** An exit behind that supernode is being set up. */
  onElsewhere(supernodeId: string): void;
  /** That supernode has not heard that a session has ended. */
  onUntold(supernodeId: string): void;
}

export type SetupStatus = CommandResult["status"] | "unanswered" | "no_such_exit";

/** What an exit has said, or what became of asking it; with what its supernode adds. */
export type SetupAnswer = Omit<ExitSetupResponse, "relayToken"> & { readonly status: SetupStatus };

export class ExitSetup {
  readonly #options: ExitSetupOptions;

  constructor(options: ExitSetupOptions) {
    this.#options = options;
  }

  /** Has the session's exit serve its client, and says whether it will. */
  async begin(record: SessionRecord, timeoutMs: number): Promise<SetupAnswer> {
    const { supernodeId } = this.#options;
    const answer = await this.#ask(record, { timeoutMs });
    // Whether another supernode's exit has applied it or not is not known here; of one that is here the outbox knows.
    if (answer.status === "unanswered" && record.exit!.supernodeId !== supernodeId) this.end(record, "setup_failed");
    return answer;
  }

  /** Has an exit that serves the session do so for longer; should it not, the session goes on as it was. */
  async renew(record: SessionRecord, timeoutMs: number): Promise<SetupStatus> {
    return (await this.#ask(record, { timeoutMs, renews: true })).status;
  }

  async #ask(record: SessionRecord, how: Pick<ExitSetupRequest, "timeoutMs" | "renews">): Promise<SetupAnswer> {
    const { supernodeId, peering, packets, log } = this.#options;
    const exit = record.exit!;
    const { sessionId, clientPeerId, clientWireguardKey, clientProof, expiresAtMs } = record;
    const payload: SetupExit = {
      clientPeerId,
      clientWireguardKey,
      ...(clientProof && { clientProof }),
      ...packets.toldOf(record),
      expiresAtMs,
    };
    const exitPeerId = exit.exit.peerId;
    const request = { ...payload, ...how, sessionId, commandId: record.setupCommandId!, exitPeerId };
    if (exit.supernodeId === supernodeId) return await this.command(request);
    this.#options.onElsewhere(exit.supernodeId);
    try {
      return await peering.setUp(exit.supernodeId, request);
    } catch (error) {
      log.info("A supernode did not set up its exit", {
        supernode_id: exit.supernodeId,
        session_id: sessionId,
        error: messageOf(error),
      });
      return { status: "unanswered" };
    }
  }

  /** The same for an exit that is connected here. */
  async command(request: ExitSetupRequest): Promise<SetupAnswer> {
    const { commandId, sessionId, exitPeerId, timeoutMs, ...payload } = request;
    const order = { kind: "SETUP_EXIT" as const, commandId, sessionId, payload, timeoutMs };
    const outcome = await this.#options.outbox.push(exitPeerId, order);
    if (outcome.result) {
      const { type: _, commandId: __, ...answer } = outcome.result;
      return answer;
    }
    return { status: !outcome.ok && outcome.reason === "full" ? "busy" : "unanswered" };
  }

  /** Has the session's exit let go of it. Nobody waits: an exit that is away is told when it comes back. */
  end(record: SessionRecord, reason: Disconnect["reason"]): void {
    const { supernodeId, peering, log, outbox, random } = this.#options;
    const { exit, sessionId } = record;
    if (!exit) return;
    if (exit.supernodeId !== supernodeId) {
      peering.end(exit.supernodeId, { sessionId, reason }).catch((error) => {
        log.info("A supernode was not told that a session has ended", { error: messageOf(error) });
        this.#options.onUntold(exit.supernodeId);
      });
      return;
    }
    void outbox.push(exit.exit.peerId, {
      kind: "DISCONNECT",
      commandId: newId(random),
      sessionId,
      payload: { reason },
      timeoutMs: END_WITHIN_MS,
    });
  }
}
