/**
 * The commands of a supernode for one peer, from the order to the answer. Design §5.
 *
 *   push ──→ waiting ──→ in flight ──→ done (applied), or failed (refused | expired | unanswered | forgotten | dropped)
 *               ↑            │ no answer in time: sent again, up to maxAttempts per connection
 *               └────────────┘ the stream is lost: sent again on the next one
 *
 * Commands are sent in the order in which they were pushed and no more than `window` are in flight. The same command
 * may arrive often; the peer applies it once (`applied_commands.ts`). A failure does not hold up what stands behind it:
 * it is handed to the owner, who tries elsewhere, and undoes what `mayBeApplied` with a command of its own.
 *
 * `changed` comes before the `send` that depends on it: an owner that stores the snapshot in between never sends what it
 * could forget. Deadlines run while the peer is away; attempts do not. Pure: time comes in, actions go out.
 *
 * Bounded: a queue that is full takes no more commands and says so. The snapshot fits into one value of KV.
 */

import { z } from "zod";
import { countSchema } from "../fields.ts";
import { type Command, type CommandOrder, type CommandResult, commandSchema } from "./commands.ts";

export interface QueueOptions {
  /** How many commands may wait. Default 64. */
  readonly maxCommands?: number;
  /** How long they may be together, as JSON. Default 48 KiB. */
  readonly maxChars?: number;
  /** How many may be in flight. Default 1. */
  readonly window?: number;
  /** After so long without an answer a command is sent again. Default 5 s. */
  readonly answerWithinMs?: number;
  /**
   * How often it is sent on one connection. Default 8: together 40 s, so that a stream that has died in silence is found
   * out first, and its commands go on with the next one.
   */
  readonly maxAttempts?: number;
}

/** What all queues of a supernode share. */
export interface QueueContext extends QueueOptions {
  /** Milliseconds since 1970. */
  wallNow(): number;
}

export type QueueFailure =
  | "refused" // the peer has said that it cannot or will not
  | "expired" // its deadline passed
  | "unanswered" // sent often enough
  | "forgotten" // the peer no longer knows whether it applied it
  | "dropped"; // given up by us

export type QueueAction =
  | { readonly kind: "send"; readonly message: Command }
  | { readonly kind: "changed" }
  | { readonly kind: "done"; readonly command: Command; readonly result: CommandResult; readonly tookMs: number }
  | {
    readonly kind: "failed";
    readonly command: Command;
    readonly reason: QueueFailure;
    /** The peer may have done it all the same. */
    readonly mayBeApplied: boolean;
    readonly result?: CommandResult;
    readonly tookMs: number;
  }
  /** The peer has lost its memory since: whatever it was told before has to be told again. */
  | { readonly kind: "peer_forgot" };

interface Entry {
  command: Command;
  readonly chars: number;
  readonly issuedMs: number;
  readonly deadlineMs: number;
  /** On this connection. */
  attempts: number;
  sentMs: number;
  mayBeApplied: boolean;
}

const queueSnapshotSchema = z.object({
  version: z.literal(1),
  nextSequence: countSchema.min(1),
  answeredThrough: countSchema,
  commands: z.array(z.object({ command: commandSchema, mayBeApplied: z.boolean() })).max(1024),
});
export type QueueSnapshot = z.infer<typeof queueSnapshotSchema>;

const DEFAULTS = { maxCommands: 64, maxChars: 48 * 1024, window: 1, answerWithinMs: 5_000, maxAttempts: 8 };

export class CommandQueue {
  readonly #context: QueueContext;
  #entries: Entry[] = [];
  #chars = 0;
  #nextSequence = 1;
  /** The highest sequence number that has been answered. */
  #answeredThrough = 0;
  #isConnected = false;

  constructor(context: QueueContext) {
    this.#context = context;
  }

  /** What `snapshot` gave, later or elsewhere; undefined if it is not one. Everything in it is sent again. */
  static restore(snapshot: unknown, context: QueueContext, nowMs: number): CommandQueue | undefined {
    const parsed = queueSnapshotSchema.safeParse(snapshot);
    if (!parsed.success) return undefined;
    const queue = new CommandQueue(context);
    const wallMs = context.wallNow();
    for (const { command, mayBeApplied } of parsed.data.commands) {
      const issuedMs = nowMs - (wallMs - command.issuedAtMs);
      const deadlineMs = nowMs + (command.deadlineAtMs - wallMs);
      // Whether there is room or not: what has been taken is not lost because the bounds are lower now.
      queue.#append({ command, chars: lengthOf(command), issuedMs, deadlineMs, mayBeApplied });
    }
    queue.#nextSequence = parsed.data.nextSequence;
    queue.#answeredThrough = parsed.data.answeredThrough;
    return queue;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** When `wake` is to be called. */
  get nextWakeAtMs(): number {
    let atMs = Infinity;
    for (const [place, entry] of this.#entries.entries()) {
      atMs = Math.min(atMs, entry.deadlineMs, this.#retryAtMs(entry, place));
    }
    return atMs;
  }

  /** Queues a command and sends it if it is its turn; undefined if the queue is full. Asking twice is asking once. */
  push(order: CommandOrder, nowMs: number): QueueAction[] | undefined {
    if (this.#entries.some(({ command }) => command.commandId === order.commandId)) return [];
    const { timeoutMs, ...rest } = order;
    const issuedAtMs = this.#context.wallNow();
    const command = {
      type: "command",
      ...rest,
      sequence: this.#nextSequence,
      issuedAtMs,
      deadlineAtMs: issuedAtMs + timeoutMs,
    } as Command;
    const { maxCommands = DEFAULTS.maxCommands, maxChars = DEFAULTS.maxChars } = this.#context;
    const chars = lengthOf(command);
    if (this.#entries.length >= maxCommands || this.#chars + chars > maxChars) return undefined;
    this.#append({ command, chars, issuedMs: nowMs, deadlineMs: nowMs + timeoutMs, mayBeApplied: false });
    this.#nextSequence++;
    return this.#flush(nowMs, [{ kind: "changed" }]);
  }

  /** Takes a command back that has not been sent; undefined if it is too late, or it was never there. */
  cancel(commandId: string): QueueAction[] | undefined {
    const at = this.#entries.findIndex((entry) => entry.command.commandId === commandId && !entry.mayBeApplied);
    if (at < 0) return undefined;
    this.#removeAt(at);
    return [{ kind: "changed" }];
  }

  /** The peer is there (again), and has finished everything up to `lastSequence`, if it knows. */
  connected(lastSequence: number | undefined, nowMs: number): QueueAction[] {
    const actions: QueueAction[] = [];
    if ((lastSequence ?? 0) < this.#answeredThrough) actions.push({ kind: "peer_forgot" });
    if (lastSequence !== undefined) this.#moveBeyond(lastSequence);
    this.#isConnected = true;
    for (const entry of this.#entries) {
      entry.attempts = 0;
      entry.sentMs = -Infinity;
    }
    return this.#flush(nowMs, this.#expire(nowMs, actions));
  }

  disconnected(): void {
    this.#isConnected = false;
  }

  /** The peer's answer. One to a command that is not in flight means nothing, and `[]` says so. */
  answered(result: CommandResult, nowMs: number): QueueAction[] {
    const at = this.#entries.findIndex((entry) => entry.attempts > 0 && entry.command.commandId === result.commandId);
    const entry = this.#entries[at];
    if (!entry) return [];
    if (result.status === "busy") {
      entry.sentMs = nowMs;
      return [];
    }
    this.#removeAt(at);
    this.#answeredThrough = Math.max(this.#answeredThrough, entry.command.sequence);
    return this.#flush(nowMs, [outcomeOf(entry, result, nowMs), { kind: "changed" }]);
  }

  /** Gives up what is overdue and repeats what has not been answered. To be called at `nextWakeAtMs`. */
  wake(nowMs: number): QueueAction[] {
    return this.#flush(nowMs, this.#giveUp(nowMs, this.#expire(nowMs, [])));
  }

  /** Gives everything up: the peer has been turned away for good. */
  drop(nowMs: number): QueueAction[] {
    const actions: QueueAction[] = this.#entries.map((entry) => failureOf(entry, "dropped", nowMs));
    this.#entries = [];
    this.#chars = 0;
    if (actions.length > 0) actions.push({ kind: "changed" });
    return actions;
  }

  snapshot(): QueueSnapshot {
    return {
      version: 1,
      nextSequence: this.#nextSequence,
      answeredThrough: this.#answeredThrough,
      commands: this.#entries.map(({ command, mayBeApplied }) => ({ command, mayBeApplied })),
    };
  }

  #append(entry: Omit<Entry, "attempts" | "sentMs">): void {
    this.#entries.push({ ...entry, attempts: 0, sentMs: -Infinity });
    this.#chars += entry.chars;
  }

  #removeAt(at: number): void {
    const [entry] = this.#entries.splice(at, 1);
    this.#chars -= entry!.chars;
  }

  /**
   * The peer knows of later commands than this queue does, which was restored from an old snapshot: what has not been
   * sent goes behind those, or the peer would take it for something it has already dealt with.
   */
  #moveBeyond(lastSequence: number): void {
    const unsent = this.#entries.filter((entry) => !entry.mayBeApplied);
    const firstUnsent = unsent[0]?.command.sequence ?? this.#nextSequence;
    if (firstUnsent > lastSequence) return;
    this.#nextSequence = Math.max(this.#nextSequence, lastSequence + 1);
    for (const entry of unsent) entry.command = { ...entry.command, sequence: this.#nextSequence++ };
  }

  #retryAtMs(entry: Entry, place: number): number {
    const { window = DEFAULTS.window, answerWithinMs = DEFAULTS.answerWithinMs } = this.#context;
    return this.#isConnected && place < window ? entry.sentMs + answerWithinMs : Infinity;
  }

  #expire(nowMs: number, actions: QueueAction[]): QueueAction[] {
    return this.#fail((entry) => entry.deadlineMs <= nowMs, "expired", nowMs, actions);
  }

  #giveUp(nowMs: number, actions: QueueAction[]): QueueAction[] {
    const { maxAttempts = DEFAULTS.maxAttempts } = this.#context;
    const isHopeless = (entry: Entry, place: number) =>
      entry.attempts >= maxAttempts && this.#retryAtMs(entry, place) <= nowMs;
    return this.#fail(isHopeless, "unanswered", nowMs, actions);
  }

  #fail(
    isLost: (entry: Entry, place: number) => boolean,
    reason: QueueFailure,
    nowMs: number,
    actions: QueueAction[],
  ): QueueAction[] {
    const lost = this.#entries.filter(isLost);
    if (lost.length === 0) return actions;
    this.#entries = this.#entries.filter((entry) => !lost.includes(entry));
    for (const entry of lost) {
      this.#chars -= entry.chars;
      actions.push(failureOf(entry, reason, nowMs));
    }
    actions.push({ kind: "changed" });
    return actions;
  }

  /** Sends what is within the window and has not been sent, or was sent too long ago. */
  #flush(nowMs: number, actions: QueueAction[]): QueueAction[] {
    if (!this.#isConnected) return actions;
    const { window = DEFAULTS.window } = this.#context;
    for (let place = 0; place < window && place < this.#entries.length; place++) {
      const entry = this.#entries[place]!;
      if (this.#retryAtMs(entry, place) > nowMs) continue;
      if (!entry.mayBeApplied) {
        entry.mayBeApplied = true;
        if (!actions.some((action) => action.kind === "changed")) actions.push({ kind: "changed" });
      }
      entry.attempts++;
      entry.sentMs = nowMs;
      actions.push({ kind: "send", message: entry.command });
    }
    return actions;
  }
}

function lengthOf(command: Command): number {
  return JSON.stringify(command).length;
}

function outcomeOf(entry: Entry, result: CommandResult, nowMs: number): QueueAction {
  const { status } = result;
  if (status === "applied") return { kind: "done", command: entry.command, result, tookMs: nowMs - entry.issuedMs };
  if (status === "forgotten") return { ...failureOf(entry, "forgotten", nowMs), result };
  const reason = status === "expired" ? "expired" : "refused";
  return { ...failureOf(entry, reason, nowMs), mayBeApplied: false, result };
}

function failureOf(entry: Entry, reason: QueueFailure, nowMs: number): QueueAction & { kind: "failed" } {
  const { command, mayBeApplied, issuedMs } = entry;
  return { kind: "failed", command, reason, mayBeApplied, tookMs: nowMs - issuedMs };
}
