/**
 * Commands as a peer carries them out: each once, one after the other in the order in which they came, and remembered in
 * a store before anything depends on it.
 *
 *   receive ──→ AppliedCommands ──→ keep (stored) ──→ apply, within its deadline ──→ keep (stored) ──→ answer
 *
 * A store that fails holds up commands until it works again: a peer that cannot remember what it has done would do it
 * twice. Whoever ordered them hears nothing meanwhile, and asks again. A store that will not work again ends the peer.
 */

import type { AppliedChange, AppliedStore } from "../../kv/applied_commands.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import {
  type AppliedAction,
  AppliedCommands,
  type Floor,
  type Outcome,
} from "../../protocol/control/applied_commands.ts";
import type { Command, CommandKind, CommandResult } from "../../protocol/control/commands.ts";
import type { Resume } from "../../protocol/control/messages.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { noTracing, type Tracing } from "../../protocol/tracing.ts";
import { untilStored } from "./stored.ts";

/** What was found out in applying a command. */
export type CommandFindings = Pick<CommandResult, "endpoint" | "packets">;

/** How commands of one kind are carried out. */
export interface CommandHandler<C extends Command = Command> {
  /**
   * Does it, and gives what the answer is to say beside that; or undoes what it has begun and throws: a CulvertError's code
   * is told to the supernode.
   */
  apply(command: C, signal: AbortSignal): Promise<CommandFindings | void> | CommandFindings | void;
  /** Undoes what an earlier process may have begun. Without it there is nothing to undo. */
  undo?(command: C): Promise<void> | void;
}

export type CommandHandlers = { readonly [Kind in CommandKind]?: CommandHandler<Extract<Command, { kind: Kind }>> };

export interface CommandDeskOptions {
  readonly store: AppliedStore;
  readonly handlers: CommandHandlers;
  answer(result: CommandResult): void;
  /** Nothing can be done any more. */
  onFault(error: unknown): void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing?: Tracing;
}

const RESULT_CODE = /^[a-z][a-z0-9_]{0,31}$/;
const MAX_REMARK_CHARS = 200;

export class CommandDesk implements Disposable {
  readonly #options: CommandDeskOptions;
  readonly #applied: AppliedCommands;
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();
  readonly #metrics;

  private constructor(options: CommandDeskOptions, applied: AppliedCommands) {
    this.#options = options;
    this.#applied = applied;
    const { metrics } = options;
    this.#metrics = {
      commands: metrics.counter("peer_commands_total", "Commands answered, by kind and status", ["kind", "status"]),
    };
  }

  /** Takes up what an earlier process knew, and undoes what it had begun. */
  static async open(options: CommandDeskOptions): Promise<CommandDesk> {
    const snapshot = await options.store.load();
    const applied = AppliedCommands.restore(snapshot);
    if (!applied) throw new CulvertError("corrupt_state", "Cannot read which commands were applied");
    const desk = new CommandDesk(options, applied);
    await desk.#do(applied.recover(), undefined);
    return desk;
  }

  resumeFor(supernodeId: string): Resume | undefined {
    return this.#applied.resumeFor(supernodeId);
  }

  /** A command has come from that supernode, whose clock says `serverTimeMs`. */
  receive(command: Command, from: { readonly supernodeId: string; readonly serverTimeMs: number }): void {
    const { supernodeId, serverTimeMs } = from;
    const actions = this.#applied.receive(command, supernodeId, serverTimeMs);
    const leftMs = command.deadlineAtMs - serverTimeMs;
    const endAtMs = this.#options.clock.now() + leftMs;
    this.#work = this.#work.then(() => this.#do(actions, endAtMs)).catch((error) => {
      if (!this.#stop.signal.aborted) this.#options.onFault(error);
    });
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The peer is stopping"));
  }

  /** Settles when nothing is being carried out any more. Call `close` first. */
  async closed(): Promise<void> {
    await this.#work;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #do(actions: readonly AppliedAction[], endAtMs: number | undefined): Promise<void> {
    for (const action of actions) {
      if (this.#stop.signal.aborted) return;
      await this.#doOne(action, endAtMs);
    }
  }

  async #doOne(action: AppliedAction, endAtMs = Infinity): Promise<void> {
    const { answer } = this.#options;
    switch (action.kind) {
      case "keep":
        return await this.#save({ keep: [action.entry], floors: [this.#present(action.floor)] });
      case "forget":
        return await this.#save({ forget: [action.commandId], floors: [this.#present(action.floor)] });
      case "apply": {
        const outcome = await this.#apply(action.command, endAtMs);
        // Stopped in the middle: it stays begun, is undone at the next start, and comes again.
        if (!outcome) return;
        this.#metrics.commands.add(1, { kind: action.command.kind, status: outcome.status });
        return await this.#do(this.#applied.finish(action.command.commandId, outcome), undefined);
      }
      case "undo":
        await this.#handler(action.command)?.undo?.(action.command);
        return await this.#do(this.#applied.undone(action.command.commandId), undefined);
      case "answer":
        return answer(action.result);
    }
  }

  /** Settles once it is stored. */
  #save(change: AppliedChange): Promise<void> {
    const { store, clock, log } = this.#options;
    return untilStored(() => store.save(change), { clock, log, signal: this.#stop.signal });
  }

  /** The floor as it is now: others of its supernode's commands may have been finished while this action waited. */
  #present(floor: Floor): Floor {
    return this.#applied.floorOf(floor.supernodeId) ?? floor;
  }

  async #apply(command: Command, endAtMs: number): Promise<Outcome | undefined> {
    const { clock, log, tracing = noTracing } = this.#options;
    const handler = this.#handler(command);
    const { kind, commandId, sessionId } = command;
    const fields = { kind, command_id: commandId, session_id: sessionId };
    if (!handler) return { status: "unsupported" };
    // The store may have kept it waiting.
    if (clock.now() >= endAtMs) return { status: "expired" };
    using limit = deadline(clock, endAtMs - clock.now(), `apply ${kind}`, this.#stop.signal);
    try {
      const findings = await tracing.run(
        "command.apply",
        fields,
        async () => await handler.apply(command, limit.signal),
      );
      log.info("A command was applied", fields);
      return { status: "applied", ...findings };
    } catch (error) {
      if (this.#stop.signal.aborted) return undefined;
      log.warn("A command could not be applied", { ...fields, error: messageOf(error) });
      return { status: "failed", ...codeOf(error), remark: messageOf(error).slice(0, MAX_REMARK_CHARS) };
    }
  }

  #handler(command: Command): CommandHandler | undefined {
    return this.#options.handlers[command.kind] as CommandHandler | undefined;
  }
}

function codeOf(error: unknown): { code?: string } {
  return error instanceof CulvertError && RESULT_CODE.test(error.code) ? { code: error.code } : {};
}
