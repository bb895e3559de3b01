/**
 * What simulated exits and clients are made of alike: the real control stream and the real desk for commands, on the
 * simulated network, and a data link of which only matters whether it is there.
 */

import { type AppliedStore, createMemoryApplied } from "../../kv/applied_commands.ts";
import { ControlStream } from "../../net/control.ts";
import { Backoff } from "../../protocol/backoff.ts";
import { delay } from "../../protocol/clock.ts";
import type { SupernodeAddress } from "../../protocol/control/commands.ts";
import type { AuthAccepted, ControlRole, Telemetry } from "../../protocol/control/messages.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { CommandDesk, type CommandHandlers } from "../../roles/peer/commands.ts";
import { type EndKind, type Host, Pipe, type Program } from "./network.ts";
import type { SupernodeNode } from "./supernode_node.ts";
import type { World } from "./world.ts";

export interface PeerPlace {
  readonly name: string;
  readonly region: string;
  /** In the order of preference. */
  readonly supernodes: readonly SupernodeNode[];
}

export interface PeerRunOptions {
  readonly role: ControlRole;
  readonly handlers: CommandHandlers;
  onOpen?(): void;
  telemetry?(): Telemetry | undefined;
}

/** As in `net/link_keeper.ts`: a link that lived so long lets the next failure start from a short wait again. */
const STEADY_MS = 10_000;
/** As in `net/peer_connection.ts`. */
const UP_LOOK_MS = 100;

export class PeerNode {
  readonly name: string;
  readonly region: string;
  readonly supernodes: readonly SupernodeNode[];
  readonly identity: Identity;
  readonly host: Host;
  protected readonly world: World;
  readonly #applied: AppliedStore = createMemoryApplied();
  /** A clock that is wrong. */
  readonly #skewMs: number;
  /** When something of its connections was last broken. */
  brokenMs = 0;
  #run: PeerRun | undefined;

  constructor(world: World, { name, region, supernodes }: PeerPlace) {
    this.world = world;
    this.name = name;
    this.region = region;
    this.supernodes = supernodes;
    this.identity = new Identity(generateSecrets(world.random), world.primitives);
    this.host = world.network.host(name, region);
    this.#skewMs = world.random.next() < 0.01 ? (world.random.next() - 0.5) * 600_000 : 0;
  }

  get peerId(): string {
    return this.identity.peerId;
  }

  /** The run under way. */
  get run(): PeerRun | undefined {
    return this.#run;
  }

  /** The supernode it is let in at, as far as it knows. */
  get supernode(): SupernodeNode | undefined {
    const control = this.#run?.control;
    if (!control?.isOpen) return undefined;
    return this.supernodes.find(({ supernodeId }) => supernodeId === control.supernode.supernodeId);
  }

  /** Power off, or a kill. */
  kill(kind: EndKind): void {
    if (!this.#run) return;
    this.world.network.end(this.#run.program, kind);
    this.world.trace.add(this.name, `is killed (${kind})`, { peer_id: this.peerId });
    this.#run = undefined;
  }

  protected begin(): { readonly program: Program; readonly log: Log } {
    const { network, slots } = this.world;
    return { program: network.start(this.host, slots.program(this.#skewMs)), log: this.world.logOf(this.name) };
  }

  /** Starts what every peer has; false if it was killed meanwhile. */
  protected async launch(program: Program, options: PeerRunOptions): Promise<PeerRun> {
    const { clock } = program;
    const log = this.world.logOf(this.name);
    const run = this.#run = new PeerRun(this.world, program, this.supernodes);
    const desk = await CommandDesk.open({
      store: this.world.disk(this.#applied, program),
      handlers: this.world.commands.watchHandlers(options.handlers, this.peerId),
      answer: (result) => run.control?.answer(result),
      onFault: (error) => this.world.trace.add(this.name, `error: fault ${error}`),
      clock,
      log,
      metrics: noMetrics,
    });
    const { random, primitives } = this.world;
    const { pingEveryMs, timeoutMs } = this.world.settings;
    run.control = new ControlStream({
      identity: this.identity,
      role: options.role,
      region: this.region,
      supernodes: this.supernodes.map(({ address }) => address),
      network: undefined,
      primitives,
      random,
      clock,
      log,
      metrics: noMetrics,
      patience: { pingEveryMs, timeoutMs },
      dial: (supernode, signal) => this.#dial(program, supernode, signal),
      resumeFor: (supernodeId) => desk.resumeFor(supernodeId),
      onCommand: (command, from) => desk.receive(command, from),
      onOpen: (supernode, answer) => {
        run.follow(supernode, answer);
        options.onOpen?.();
      },
      ...options.telemetry && { telemetry: options.telemetry },
    });
    return run;
  }

  #dial(program: Program, { url }: SupernodeAddress, signal: AbortSignal) {
    const host = this.world.network.find(url);
    if (!host) return Promise.reject(new TypeError("No such host"));
    return this.world.network.connect(program, host, signal);
  }
}

/** One run of a peer's program. */
export class PeerRun {
  readonly program: Program;
  readonly startedMs: number;
  readonly #world: World;
  readonly #supernodes: readonly SupernodeNode[];
  readonly #backoff: Backoff;
  control: ControlStream | undefined;
  /** The supernode that the data link goes to, or should. */
  #target: SupernodeNode | undefined;
  #pipe: Pipe | undefined;

  constructor(world: World, program: Program, supernodes: readonly SupernodeNode[]) {
    this.#world = world;
    this.program = program;
    this.startedMs = world.clock.now();
    this.#supernodes = supernodes;
    this.#backoff = new Backoff(world.random);
  }

  /** Whether it believes that its data link is up. */
  get isUp(): boolean {
    return this.#pipe !== undefined;
  }

  /** How often the data link was lost or left. */
  losses = 0;

  /** Settles when the data link is up. */
  async up(signal: AbortSignal): Promise<void> {
    while (!this.isUp) await delay(this.program.clock, UP_LOOK_MS, signal);
  }

  /** Whether what it sends on its data link comes out there. */
  isLinkedTo(supernode: SupernodeNode): boolean {
    return this.#target === supernode && this.#pipe?.isWhole === true;
  }

  /** Let in at a supernode: the data link is to be there too. */
  follow({ supernodeId }: SupernodeAddress, { relayToken }: AuthAccepted): void {
    const target = this.#supernodes.find((supernode) => supernode.supernodeId === supernodeId);
    if (!target || this.#target === target) return;
    if (this.#target) this.losses++;
    this.#target = target;
    this.#pipe?.fail(0);
    this.#pipe = undefined;
    this.#connect(target, relayToken);
  }

  #connect(target: SupernodeNode, token: string | undefined): void {
    const { network } = this.#world;
    const { clock, host } = this.program;
    // There and back for the WebSocket, and for the token if there is none yet.
    clock.after(2 * network.latencyMs(host.region, target.region), () => {
      if (this.#target !== target) return;
      const isReachable = target.isUp && !network.isCut(host.region, target.region);
      if (token !== undefined && isReachable && this.#link(target, token)) return;
      this.#retry(target);
    });
  }

  #link(target: SupernodeNode, token: string): boolean {
    const { clock } = this.program;
    const pipe = new Pipe(this.#world.network, this.program, target.host.program!);
    if (!target.hold(token, pipe)) {
      pipe.fail(0);
      return false;
    }
    const upMs = clock.now();
    this.#pipe = pipe;
    pipe.whenEnded(this.program, () => {
      if (clock.now() - upMs >= STEADY_MS) this.#backoff.reset();
      if (this.#pipe !== pipe) return;
      this.losses++;
      this.#pipe = undefined;
      this.#retry(target);
    });
    return true;
  }

  #retry(target: SupernodeNode): void {
    this.program.clock.after(this.#backoff.nextMs(), () => void this.#again(target));
  }

  async #again(target: SupernodeNode): Promise<void> {
    if (this.#target !== target) return;
    try {
      const { relayToken } = await this.control!.request({ what: "relay_token" });
      const isThere = this.control!.supernode.supernodeId === target.supernodeId;
      this.#connect(target, isThere ? relayToken : undefined);
    } catch {
      this.#retry(target);
    }
  }
}
