/**
 * A peer's memory of the commands it was given, by which each is applied once however often it arrives. Design §5.
 *
 *   receive ──→ begun ──→ finished ──→ evicted
 *                 │ the process ends          `apply` is given once per command, `answer` as often as it is asked
 *                 ↓
 *              half done ── undone ──→ (as if it had never come)
 *
 * Whoever owns this carries out the actions in their order and stores what `keep` and `forget` tell before going on, so
 * that a kill between any two of them does no harm: a command that was begun and not finished when the process ended is
 * undone at the next start (`recover`), and applied when it is delivered again. A command that fails is undone by its
 * handler before it reports so.
 *
 * Bounded: the oldest finished commands are evicted. Their answers are lost, but not that they were dealt with: the
 * sequence numbers of a supernode's commands only go up, and what stands at or below the last evicted one is answered
 * `forgotten`, never applied.
 */

import { z } from "zod";
import { countSchema, peerIdSchema, tokenSchema } from "../fields.ts";
import { type Command, type CommandResult, commandResultSchema, commandSchema } from "./commands.ts";
import type { Resume } from "./messages.ts";

/** What is known of one command; a member of the snapshot and what is stored as it changes. */
export const appliedEntrySchema = z.object({
  commandId: tokenSchema,
  supernodeId: peerIdSchema,
  sequence: countSchema,
  /** While it is begun: what to undo. */
  command: commandSchema.optional(),
  /** Once it is finished. */
  result: commandResultSchema.optional(),
});
export type AppliedEntry = z.infer<typeof appliedEntrySchema>;

/** How far a supernode's commands have come. */
export const floorSchema = z.object({
  supernodeId: peerIdSchema,
  /** The highest sequence number that was finished. */
  finishedThrough: countSchema,
  /** The highest one that is remembered no more. */
  evictedThrough: countSchema,
});
export type Floor = z.infer<typeof floorSchema>;

const MAX_STORED = 65_536;
/** Of so many supernodes the floors can be restored. */
export const MAX_STORED_FLOORS = 1024;

const appliedSnapshotSchema = z.object({
  version: z.literal(1),
  entries: z.array(appliedEntrySchema).max(MAX_STORED),
  floors: z.array(floorSchema).max(MAX_STORED_FLOORS),
});
export type AppliedSnapshot = z.infer<typeof appliedSnapshotSchema>;

export type AppliedAction =
  /** Store the entry and the supernode's floor, in one step and in place of what was stored of them before. */
  | { readonly kind: "keep"; readonly entry: AppliedEntry; readonly floor: Floor }
  /** The entry need not be stored any longer; the floor is what it has become by that. */
  | { readonly kind: "forget"; readonly commandId: string; readonly floor: Floor }
  | { readonly kind: "apply"; readonly command: Command }
  | { readonly kind: "undo"; readonly command: Command }
  | { readonly kind: "answer"; readonly result: CommandResult };

/** What became of a command that was to be applied. */
export type Outcome = Pick<CommandResult, "code" | "remark" | "endpoint" | "packets"> & {
  readonly status: "applied" | "failed" | "unsupported" | "expired";
};

export interface AppliedOptions {
  /** How many finished commands are remembered. Default 256. */
  readonly maxFinished?: number;
  /** How many may be begun at once; others are told to come back. Default 16. */
  readonly maxBegun?: number;
  /** How many supernodes' floors are kept. Default 16. */
  readonly maxSupernodes?: number;
}

export class AppliedCommands {
  readonly #options: Required<AppliedOptions>;
  /** Begun ones, by id. Those of an earlier process are half done until they are undone. */
  readonly #begun = new Map<string, { readonly entry: AppliedEntry; readonly isHalfDone: boolean }>();
  /** Finished ones by id, oldest first. */
  readonly #finished = new Map<string, AppliedEntry>();
  /** By supernode, the one that was heard least lately first. */
  readonly #floors = new Map<string, Floor>();

  constructor(options: AppliedOptions = {}) {
    const { maxFinished = 256, maxBegun = 16, maxSupernodes = 16 } = options;
    this.#options = { maxFinished, maxBegun, maxSupernodes };
  }

  /** What `snapshot` gave, in another process; undefined if it is not one. Ask `recover` before anything else. */
  static restore(snapshot: unknown, options: AppliedOptions = {}): AppliedCommands | undefined {
    const parsed = appliedSnapshotSchema.safeParse(snapshot);
    if (!parsed.success) return undefined;
    const applied = new AppliedCommands(options);
    for (const floor of parsed.data.floors) applied.#floors.set(floor.supernodeId, floor);
    for (const entry of parsed.data.entries) {
      if (entry.result) applied.#finished.set(entry.commandId, entry);
      else if (entry.command) applied.#begun.set(entry.commandId, { entry, isHalfDone: true });
    }
    applied.#evict();
    return applied;
  }

  /** What an earlier process had begun and may have half done. Each is to be followed by `undone`. */
  recover(): AppliedAction[] {
    const halfDone = [...this.#begun.values()].filter(({ isHalfDone }) => isHalfDone);
    return halfDone.map(({ entry }) => ({ kind: "undo", command: entry.command! }));
  }

  /** Nothing is left of it: when it comes again, it comes for the first time. */
  undone(commandId: string): AppliedAction[] {
    const begun = this.#begun.get(commandId);
    if (!begun?.isHalfDone) return [];
    this.#begun.delete(commandId);
    return [{ kind: "forget", commandId, floor: this.#touchedFloor(begun.entry.supernodeId) }];
  }

  /** A command has come from that supernode, whose clock says `wallMs`. */
  receive(command: Command, supernodeId: string, wallMs: number): AppliedAction[] {
    const { commandId, sequence } = command;
    const known = this.#finished.get(commandId);
    if (known) return this.#answerAgain(known, command, supernodeId);
    const begun = this.#begun.get(commandId);
    // One that is under way is answered when it is finished.
    if (begun) return begun.isHalfDone ? [answer(commandId, "busy")] : [];
    const floor = this.#touchedFloor(supernodeId);
    if (sequence <= floor.evictedThrough) return [answer(commandId, "forgotten")];
    if (this.#begun.size >= this.#options.maxBegun) return [answer(commandId, "busy")];
    const entry: AppliedEntry = { commandId, supernodeId, sequence, command };
    if (wallMs >= command.deadlineAtMs) return this.#finish(entry, { status: "expired" });
    this.#begun.set(commandId, { entry, isHalfDone: false });
    return [{ kind: "keep", entry, floor }, { kind: "apply", command }];
  }

  /** A command that was to be applied is done with. Nothing happens if it was not, or has been finished already. */
  finish(commandId: string, outcome: Outcome): AppliedAction[] {
    const begun = this.#begun.get(commandId);
    if (!begun || begun.isHalfDone) return [];
    this.#begun.delete(commandId);
    return this.#finish(begun.entry, outcome);
  }

  /** What to tell a supernode when connecting to it: the last of its commands that was finished. */
  resumeFor(supernodeId: string): Resume | undefined {
    const floor = this.#floors.get(supernodeId);
    return floor && { supernodeId, lastSequence: floor.finishedThrough };
  }

  /** How far that supernode's commands have come; undefined if it has given none that is remembered. */
  floorOf(supernodeId: string): Floor | undefined {
    return this.#floors.get(supernodeId);
  }

  snapshot(): AppliedSnapshot {
    const begun = [...this.#begun.values()].map(({ entry }) => entry);
    return { version: 1, entries: [...this.#finished.values(), ...begun], floors: [...this.#floors.values()] };
  }

  /** A supernode that asks twice, or starts from an old snapshot, sends the command under a later number. */
  #answerAgain(known: AppliedEntry, { sequence }: Command, supernodeId: string): AppliedAction[] {
    const answer: AppliedAction = { kind: "answer", result: known.result! };
    if (known.supernodeId !== supernodeId || sequence <= known.sequence) return [answer];
    const entry = { ...known, sequence };
    this.#finished.set(entry.commandId, entry);
    return [{ kind: "keep", entry, floor: this.#finishedThrough(supernodeId, sequence) }, answer];
  }

  #finish(begun: AppliedEntry, outcome: Omit<CommandResult, "type" | "commandId">): AppliedAction[] {
    const { commandId, supernodeId, sequence } = begun;
    const result: CommandResult = { type: "command.result", commandId, ...outcome };
    const entry: AppliedEntry = { commandId, supernodeId, sequence, result };
    const floor = this.#finishedThrough(supernodeId, sequence);
    this.#finished.set(commandId, entry);
    return [{ kind: "keep", entry, floor }, ...this.#evict(), { kind: "answer", result }];
  }

  #finishedThrough(supernodeId: string, sequence: number): Floor {
    const before = this.#touchedFloor(supernodeId);
    const floor = { ...before, finishedThrough: Math.max(before.finishedThrough, sequence) };
    this.#floors.set(supernodeId, floor);
    return floor;
  }

  /** Makes room among the finished. */
  #evict(): AppliedAction[] {
    const actions: AppliedAction[] = [];
    for (const [commandId, { supernodeId, sequence }] of this.#finished) {
      if (this.#finished.size <= this.#options.maxFinished) break;
      this.#finished.delete(commandId);
      const before = this.#floors.get(supernodeId) ?? emptyFloor(supernodeId);
      const floor = { ...before, evictedThrough: Math.max(before.evictedThrough, sequence) };
      if (this.#floors.has(supernodeId)) this.#floors.set(supernodeId, floor);
      actions.push({ kind: "forget", commandId, floor });
    }
    return actions;
  }

  /** The supernode's floor, which becomes the one that was looked at last. */
  #touchedFloor(supernodeId: string): Floor {
    const floor = this.#floors.get(supernodeId) ?? emptyFloor(supernodeId);
    this.#floors.delete(supernodeId);
    this.#floors.set(supernodeId, floor);
    if (this.#floors.size > this.#options.maxSupernodes) this.#floors.delete(this.#floors.keys().next().value!);
    return floor;
  }
}

function emptyFloor(supernodeId: string): Floor {
  return { supernodeId, finishedThrough: 0, evictedThrough: 0 };
}

function answer(commandId: string, status: CommandResult["status"]): AppliedAction {
  return { kind: "answer", result: { type: "command.result", commandId, status } };
}
