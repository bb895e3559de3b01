/**
 * A client: the real sessions and the real switch between them, over a way that is open or not.
 */

import { SessionSwitch } from "../../net/session_switch.ts";
import type { SessionWay, SupernodeWay } from "../../net/watched_session.ts";
import { aborted } from "../../protocol/abort.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { ClientSessions } from "../../roles/client/sessions.ts";
import { isWayOpen, type Overview, probeWay } from "./data_plane.ts";
import { PeerNode, type PeerPlace, type PeerRun } from "./peer_node.ts";
import type { World } from "./world.ts";

/** What is said before the control stream closes takes a moment. */
const GOODBYE_MS = 1_000;

export class ClientNode extends PeerNode {
  readonly #overview: Overview;
  /** The region that it wants to leave in. */
  readonly #wish: string | undefined;
  #exits: SessionSwitch | undefined;
  #isAsking = false;
  /** Since when it has had no way out, though it should; kept by the invariant. */
  withoutSinceMs: number | undefined;

  constructor(world: World, overview: Overview, place: PeerPlace & { readonly wish: string | undefined }) {
    super(world, place);
    this.#overview = overview;
    this.#wish = place.wish;
  }

  get wish(): string | undefined {
    return this.#wish;
  }

  /** The session that new streams go through. */
  get present(): SessionSwitch["present"] {
    return this.#exits?.present;
  }

  get sessionIds(): ReadonlySet<string> {
    return this.#exits?.sessionIds ?? new Set();
  }

  get hasWay(): boolean {
    const sessionId = this.present?.sessionId;
    return sessionId !== undefined && isWayOpen(this.#overview, this, sessionId);
  }

  async start(): Promise<void> {
    const { program, log } = this.begin();
    const { clock } = program;
    const { random, primitives, settings } = this.world;
    const sessions = new ClientSessions({
      primitives,
      network: undefined,
      clock,
      control: () => this.run!.control!,
      way: () => this.run!,
      openWay: ({ sessionId }) => new SimWay(sessionId),
    });
    const exits = this.#exits = new SessionSwitch({
      acquire: (exclude, signal) =>
        sessions.request({
          ...this.#wish !== undefined && { region: this.#wish },
          ...exclude.length > 0 && { exclude: [...exclude] },
        }, signal),
      release: (sessionId) => sessions.release(sessionId),
      renew: (sessionId, signal) => sessions.renew(sessionId, signal),
      supernode: new ClientWay(() => this.run),
      probeEveryMs: settings.probeEveryMs,
      probe: (path, signal) => this.#probe(path, signal),
      clock,
      random,
      log,
      metrics: noMetrics,
    });
    // As in `roles/client.ts`.
    const settle = async () => {
      await sessions.reconcile(exits);
      if (sessions.hasMoved(exits)) await exits.replace("moved", NEVER);
      else await exits.warm();
    };
    await this.launch(program, {
      role: "client",
      handlers: sessions.handlers(() => exits),
      onOpen: () => void settle().catch(() => {}),
    });
  }

  /** Somebody wants to use it: it asks for an exit if it has none. */
  use(): void {
    if (!this.#exits || this.#exits.present || this.#isAsking || !this.run?.control?.isOpen) return;
    this.#isAsking = true;
    const exits = this.#exits;
    exits.warm().catch((error) => this.world.trace.add(this.name, "asks in vain", { error: messageOf(error) }))
      .finally(() => this.#isAsking = false);
  }

  override kill(kind: "reset" | "silent"): void {
    super.kill(kind);
    this.#forget();
  }

  /** Says goodbye, and ends. */
  stop(): void {
    const { run } = this;
    if (!run) return;
    this.#exits?.close();
    run.program.clock.after(GOODBYE_MS, () => {
      run.control?.close();
      run.program.clock.after(GOODBYE_MS, () => {
        if (this.run === run) this.kill("reset");
      });
    });
  }

  #forget(): void {
    this.#exits = undefined;
    this.#isAsking = false;
    this.withoutSinceMs = undefined;
  }

  #probe(path: unknown, signal: AbortSignal): Promise<void> {
    if (!(path instanceof SimWay)) return Promise.reject(new TypeError("No simulated way"));
    return probeWay(this.#overview, this, { sessionId: path.sessionId, signal });
  }
}

const NEVER = new AbortController().signal;

/** The way to the supernode, of whichever run there is. */
class ClientWay implements SupernodeWay {
  readonly #run: () => PeerRun | undefined;

  constructor(run: () => PeerRun | undefined) {
    this.#run = run;
  }

  get isUp(): boolean {
    return this.#run()?.isUp ?? false;
  }

  get losses(): number {
    return this.#run()?.losses ?? 0;
  }

  up(signal: AbortSignal): Promise<void> {
    return this.#run()?.up(signal) ?? aborted(signal);
  }
}

/** A way on which nothing is carried but probes. */
class SimWay implements SessionWay {
  readonly streamCount = 0;
  readonly sessionId: string;

  constructor(sessionId: string) {
    this.sessionId = sessionId;
  }

  dial(): Promise<never> {
    return Promise.reject(new DialError("unsupported", "Nothing is carried here"));
  }

  datagrams(): Promise<never> {
    return this.dial();
  }

  close(): void {}

  [Symbol.dispose](): void {}

  closed(): Promise<void> {
    return Promise.resolve();
  }
}
