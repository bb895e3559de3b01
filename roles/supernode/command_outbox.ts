/**
 * The commands for all peers of a supernode, connected or not.
 *
 *   push ─→ the peer's queue ─→ kept in the store ─→ its stream, when there is one ─→ outcome
 *
 * A queue is in memory while its peer is connected or something waits in it; else in the store. What was kept is taken
 * up again after a restart. A store that fails holds commands back and is tried again with the next repetition. A
 * SETUP_EXIT or RELAY_SETUP that failed and may have been applied all the same is followed by a DISCONNECT, which undoes
 * it.
 *
 * Not here: the order of sending (`protocol/control/command_queue.ts`), the streams (`stream_manager.ts`).
 */

import type { QueueStore } from "../../kv/commands.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CommandQueue, type QueueAction, type QueueFailure } from "../../protocol/control/command_queue.ts";
import type { Command, CommandOrder, CommandResult } from "../../protocol/control/commands.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import { noTracing, type Tracing } from "../../protocol/tracing.ts";

const UNDO_WITHIN_MS = 3_600_000;
const LATENCY_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30];

export interface CommandOutboxOptions {
  readonly store: QueueStore;
  /** A peer has lost its memory: whatever it had been told to hold it holds no more. */
  onForgot?(peerId: string): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
  /** What became of a command, also of one that an earlier process ordered. */
  onOutcome?(peerId: string, outcome: CommandEnd): void;
}

export type CommandOutcome =
  | { readonly ok: true; readonly result: CommandResult }
  | { readonly ok: false; readonly reason: QueueFailure | "full"; readonly result?: CommandResult };

type Deliver = (actions: readonly QueueAction[]) => void;
/** What of a queue's actions is for the outbox itself. */
export type OutboxAction = Exclude<QueueAction, { kind: "send" | "changed" }>;

export type CommandEnd = Exclude<OutboxAction, { kind: "peer_forgot" }>;

interface Held {
  readonly queue: CommandQueue;
  /** There while the peer is connected. */
  deliver?: Deliver | undefined;
  /** The store does not have the newest. */
  isUnsaved: boolean;
}

export class CommandOutbox {
  readonly #options: CommandOutboxOptions;
  readonly #held = new Map<string, Held>();
  readonly #loading = new Map<string, Promise<Held>>();
  /** By peer and command: what somebody waits for. */
  readonly #waiting = new Map<string, PromiseWithResolvers<CommandOutcome>>();
  /** Under way to the store. */
  #saves = 0;
  #onSaved: () => void = () => {};
  readonly #metrics;

  constructor(options: CommandOutboxOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#metrics = {
      latency: metrics.histogram("command_latency_seconds", "From the order to the answer", LATENCY_BUCKETS_S, [
        "kind",
      ]),
      success: metrics.counter("command_success_total", "Commands that were applied", ["kind"]),
      failure: metrics.counter("command_failure_total", "Commands that were not applied", ["kind", "reason"]),
    };
  }

  /** Queues in memory. */
  get size(): number {
    return this.#held.size;
  }

  /** Commands whose outcome somebody waits for. */
  get awaited(): number {
    return this.#waiting.size;
  }

  /** Takes up what was under way when this supernode last stopped. */
  async restore(): Promise<void> {
    const { store, clock } = this.#options;
    for (const { peerId, snapshot } of await store.pending()) {
      const queue = CommandQueue.restore(snapshot, clock, clock.now());
      if (queue) this.#held.set(peerId, { queue, isUnsaved: false });
    }
  }

  /** Reads what there is for a peer that has come; `attach` or, should it have gone meanwhile, `unload` follows at once. */
  async load(peerId: string): Promise<void> {
    await this.#hold(peerId);
  }

  unload(peerId: string): void {
    const held = this.#held.get(peerId);
    if (held) this.#letGo(peerId, held);
  }

  /** The queue of a peer that has come; what is to be done about it goes to `deliver` until `detach`. */
  attach(peerId: string, deliver: Deliver): CommandQueue | undefined {
    const held = this.#held.get(peerId);
    if (held) held.deliver = deliver;
    return held?.queue;
  }

  detach(peerId: string, deliver: Deliver): void {
    const held = this.#held.get(peerId);
    if (held?.deliver !== deliver) return;
    held.deliver = undefined;
    this.#letGo(peerId, held);
  }

  /** Orders a command and gives what became of it. Asking twice is asking once. Never rejects. */
  push(peerId: string, order: CommandOrder): Promise<CommandOutcome> {
    const { tracing = noTracing } = this.#options;
    const { kind, commandId, sessionId } = order;
    return tracing.run("command.push", { kind, command_id: commandId, session_id: sessionId }, async (span) => {
      const outcome = await this.#push(peerId, order);
      if (!outcome.ok) span.fail(outcome.reason);
      return outcome;
    });
  }

  async #push(peerId: string, order: CommandOrder): Promise<CommandOutcome> {
    let held;
    try {
      // One that is let go of at this very moment is of no use: nobody would ever look at it.
      do held = await this.#hold(peerId); while (this.#held.get(peerId) !== held);
    } catch (error) {
      this.#options.log.error("Cannot load a peer's commands", { peer_id: peerId, error: messageOf(error) });
      return { ok: false, reason: "dropped" };
    }
    const key = waitKey(peerId, order);
    const known = this.#waiting.get(key);
    if (known) return await known.promise;
    const actions = held.queue.push(order, this.#options.clock.now());
    if (!actions) {
      this.#letGo(peerId, held);
      this.#metrics.failure.add(1, { kind: order.kind, reason: "full" });
      return { ok: false, reason: "full" };
    }
    const waiting = Promise.withResolvers<CommandOutcome>();
    this.#waiting.set(key, waiting);
    this.#hand(peerId, held, actions);
    return await waiting.promise;
  }

  /** Gives everything up that waits for a peer which has been turned away. */
  async drop(peerId: string): Promise<void> {
    const given = this.#held.get(peerId)?.queue.drop(this.#options.clock.now()) ?? [];
    this.#held.delete(peerId);
    await this.#options.store.remove(peerId).catch((error) => this.#complain(peerId, error));
    // Only now: what undoes them is a command of its own, which is to stay.
    for (const action of given) if (action.kind === "failed") this.settle(peerId, action);
  }

  /** Whether what depends on the peer's queue may be sent: whether it is kept. Never rejects. */
  async save(peerId: string): Promise<boolean> {
    const held = this.#held.get(peerId);
    if (!held) return true;
    this.#saves++;
    try {
      await this.#options.store.save(peerId, held.queue.snapshot());
      held.isUnsaved = false;
    } catch (error) {
      held.isUnsaved = true;
      this.#complain(peerId, error);
    }
    if (--this.#saves === 0) this.#onSaved();
    return !held.isUnsaved;
  }

  /** Settles when nothing is being kept any more: the store can be closed once nobody is connected. */
  async closed(): Promise<void> {
    while (this.#saves > 0) await new Promise<void>((resolve) => this.#onSaved = resolve);
  }

  isUnsaved(peerId: string): boolean {
    return this.#held.get(peerId)?.isUnsaved ?? false;
  }

  /** Tells whoever ordered it what became of a command. */
  settle(peerId: string, action: OutboxAction): void {
    const { log } = this.#options;
    if (action.kind === "peer_forgot") {
      log.warn("A peer has lost its memory of commands", { peer_id: peerId });
      return this.#options.onForgot?.(peerId);
    }
    const { command, tookMs } = action;
    const { kind, commandId } = command;
    this.#options.onOutcome?.(peerId, action);
    this.#metrics.latency.observe(tookMs / 1000, { kind });
    const key = waitKey(peerId, command);
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (action.kind === "done") {
      this.#metrics.success.add(1, { kind });
      return waiting?.resolve({ ok: true, result: action.result });
    }
    this.#metrics.failure.add(1, { kind, reason: action.reason });
    const { sessionId } = command;
    log.info("A command failed", {
      peer_id: peerId,
      command_id: commandId,
      ...(sessionId !== undefined && { session_id: sessionId }),
      kind,
      reason: action.reason,
    });
    if (action.mayBeApplied) this.#undo(peerId, command);
    waiting?.resolve({ ok: false, reason: action.reason, ...(action.result && { result: action.result }) });
  }

  /** Lets deadlines pass for peers that are away; streams see to their own. */
  wake(nowMs: number): void {
    for (const [peerId, held] of this.#held) {
      if (held.deliver || held.queue.nextWakeAtMs > nowMs) continue;
      this.#hand(peerId, held, held.queue.wake(nowMs));
    }
  }

  #hand(peerId: string, held: Held, actions: readonly QueueAction[]): void {
    if (held.deliver) return held.deliver(actions);
    for (const action of actions) {
      if (action.kind === "changed") void this.save(peerId).then(() => this.#letGo(peerId, held));
      else if (action.kind !== "send") this.settle(peerId, action);
    }
  }

  #undo(peerId: string, command: Command): void {
    const { sessionId } = command;
    // A renewal that failed leaves the session as it was.
    const sets = command.kind === "SETUP_EXIT" ? !command.payload.renews : command.kind === "RELAY_SETUP";
    if (!sets || sessionId === undefined) return;
    void this.push(peerId, {
      kind: "DISCONNECT",
      commandId: newId(this.#options.random),
      sessionId,
      payload: { reason: "setup_failed" },
      timeoutMs: UNDO_WITHIN_MS,
    });
  }

  #hold(peerId: string): Promise<Held> {
    const held = this.#held.get(peerId);
    if (held) return Promise.resolve(held);
    const loading = this.#loading.get(peerId) ?? this.#load(peerId).finally(() => this.#loading.delete(peerId));
    this.#loading.set(peerId, loading);
    return loading;
  }

  async #load(peerId: string): Promise<Held> {
    const { store, clock } = this.#options;
    const snapshot = await store.load(peerId);
    const restored = snapshot === undefined ? undefined : CommandQueue.restore(snapshot, clock, clock.now());
    const held = { queue: restored ?? new CommandQueue(clock), isUnsaved: false };
    this.#held.set(peerId, held);
    return held;
  }

  #letGo(peerId: string, held: Held): void {
    if (!held.deliver && held.queue.length === 0 && this.#held.get(peerId) === held) this.#held.delete(peerId);
  }

  #complain(peerId: string, error: unknown): void {
    this.#options.log.error("Cannot keep a peer's commands", { peer_id: peerId, error: messageOf(error) });
  }
}

function waitKey(peerId: string, { commandId }: { readonly commandId: string }): string {
  return `${peerId} ${commandId}`;
}

/** An id that nobody else has, and that no command line takes for a flag. */
export function newId(random: Random): string {
  for (;;) {
    const id = encodeBase64Url(random.fill(new Uint8Array(16)));
    if (!id.startsWith("-")) return id;
  }
}
