/**
 * Follows every command from the moment a supernode has kept it to its outcome, and every application of it at its peer.
 *
 *   kept (in a supernode's store) ──→ applied at the peer, once ──→ outcome at the supernode, true, in time
 *
 * A command may be applied again only when what was done before has been undone, or when the process that did it ended
 * before it could remember that and there is nothing to undo, so that doing it again changes nothing.
 */

import type { QueueStore } from "../../kv/commands.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { QueueSnapshot } from "../../protocol/control/command_queue.ts";
import type { Command } from "../../protocol/control/commands.ts";
import type { CommandHandler, CommandHandlers } from "../../roles/peer/commands.ts";
import type { CommandEnd } from "../../roles/supernode/command_outbox.ts";
import type { Trace } from "./trace.ts";

interface Followed {
  readonly supernode: string;
  readonly peerId: string;
  readonly kind: string;
  readonly deadlineMs: number;
  /** What is there of it at the peer. */
  effect: "none" | "begun" | "done";
  /** The run of the peer's program that began it. */
  life: object | undefined;
  /** Whether it has been done, also if undone since. */
  wasDone: boolean;
}

export interface Breach {
  readonly invariant: string;
  readonly message: string;
  /** Whom the trace should be about. */
  readonly about: readonly string[];
}

export class CommandAudit {
  readonly #clock: Clock;
  readonly #trace: Trace;
  readonly #open = new Map<string, Followed>();
  /** Commands that have an outcome, for their late deliveries: a while each. */
  readonly #ended = new Map<string, Followed & { readonly forgetMs: number }>();
  readonly breaches: Breach[] = [];
  readonly outcomes = new Map<string, number>();
  kept = 0;
  applications = 0;
  worstLateMs = 0;
  longestQueue = 0;

  constructor(clock: Clock, trace: Trace) {
    this.#clock = clock;
    this.#trace = trace;
  }

  get open(): number {
    return this.#open.size;
  }

  /** Looks at what is kept on the way to the store. */
  watch(store: QueueStore, supernode: string): QueueStore {
    return {
      ...store,
      save: async (peerId, snapshot) => {
        await store.save(peerId, snapshot);
        this.#kept(supernode, peerId, snapshot);
      },
    };
  }

  /** What became of a command, as its supernode has it. */
  ended(supernode: string, peerId: string, end: CommandEnd): void {
    const { command } = end;
    const { commandId, kind } = command;
    const outcome = end.kind === "done" ? "applied" : end.reason;
    this.outcomes.set(`${kind} ${outcome}`, (this.outcomes.get(`${kind} ${outcome}`) ?? 0) + 1);
    const followed = this.#open.get(commandId) ?? this.#followed(supernode, peerId, command);
    this.#open.delete(commandId);
    this.#ended.set(commandId, { ...followed, forgetMs: this.#clock.now() + 3_600_000 });
    if (end.kind === "done" && !followed.wasDone) {
      this.#breach("outcomes are true", `${kind} ${commandId} counts as applied, but never was`, followed);
    }
    if (end.kind === "failed" && !end.mayBeApplied && followed.effect === "done" && end.reason !== "forgotten") {
      this.#breach("outcomes are true", `${kind} ${commandId} counts as not applied (${end.reason}), but is`, followed);
    }
  }

  /** The handlers of one run of a peer's program, watched. */
  watchHandlers(handlers: CommandHandlers, peerId: string): CommandHandlers {
    const life = {};
    return Object.fromEntries(
      Object.entries(handlers).map((
        [kind, handler],
      ) => [kind, this.#watchHandler(handler as CommandHandler, peerId, life)]),
    );
  }

  /** Commands that should have an outcome by now. `isDown` tells of supernodes that cannot give one. */
  overdue(boundMs: number, upSinceMs: (supernode: string) => number | undefined): void {
    const nowMs = this.#clock.now();
    for (const [commandId, followed] of this.#open) {
      const upMs = upSinceMs(followed.supernode);
      if (upMs === undefined) continue;
      const lateMs = nowMs - Math.max(followed.deadlineMs, upMs);
      this.worstLateMs = Math.max(this.worstLateMs, lateMs);
      if (lateMs <= boundMs) continue;
      this.#open.delete(commandId);
      this.#breach("no command is lost", `${followed.kind} ${commandId} has no outcome`, followed);
    }
    for (const [commandId, { forgetMs }] of this.#ended) {
      if (forgetMs > nowMs) break;
      this.#ended.delete(commandId);
    }
  }

  #kept(supernode: string, peerId: string, { commands }: QueueSnapshot): void {
    this.longestQueue = Math.max(this.longestQueue, commands.length);
    for (const { command } of commands) {
      const { commandId } = command;
      if (this.#open.has(commandId) || this.#ended.has(commandId)) continue;
      this.kept++;
      this.#open.set(commandId, this.#followed(supernode, peerId, command));
    }
  }

  #followed(supernode: string, peerId: string, { kind, deadlineAtMs, issuedAtMs }: Command): Followed {
    const deadlineMs = this.#clock.now() + deadlineAtMs - issuedAtMs;
    return { supernode, peerId, kind, deadlineMs, effect: "none", life: undefined, wasDone: false };
  }

  #watchHandler(handler: CommandHandler, peerId: string, life: object): CommandHandler {
    return {
      apply: async (command, signal) => {
        const followed = this.#find(command);
        this.applications++;
        if (followed) this.#begin(followed, command, { life, canUndo: handler.undo !== undefined });
        try {
          await handler.apply(command, signal);
        } catch (error) {
          if (followed) followed.effect = "none";
          throw error;
        }
        if (followed) followed.effect = "done";
        if (followed) followed.wasDone = true;
        this.#trace.add(peerId, `applied ${command.kind}`, { session: command.sessionId, command: command.commandId });
      },
      ...handler.undo && {
        undo: async (command: Command) => {
          await handler.undo!(command);
          const followed = this.#find(command);
          if (followed) followed.effect = "none";
        },
      },
    };
  }

  #find({ commandId }: Command): Followed | undefined {
    return this.#open.get(commandId) ?? this.#ended.get(commandId);
  }

  #begin(
    followed: Followed,
    { kind, commandId }: Command,
    { life, canUndo }: { life: object; canUndo: boolean },
  ): void {
    const isAgain = followed.effect !== "none" && (canUndo || followed.life === life);
    if (isAgain) this.#breach("no command is applied twice", `${kind} ${commandId} is applied again`, followed);
    followed.effect = "begun";
    followed.life = life;
  }

  #breach(invariant: string, message: string, { supernode, peerId }: Followed): void {
    this.breaches.push({ invariant, message, about: [supernode, peerId] });
  }
}
