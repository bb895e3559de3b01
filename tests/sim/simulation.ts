/**
 * A simulation from beginning to end: people come and things fail for some hours, then it is calm and everything must be
 * as it should, then all leave and nothing must remain.
 */

import { randomInt } from "../../protocol/random.ts";
import { BaseNode } from "./base_node.ts";
import { Churn, type Population } from "./churn.ts";
import { ClientNode } from "./client_node.ts";
import type { Breach } from "./command_audit.ts";
import type { Overview } from "./data_plane.ts";
import { ExitNode } from "./exit_node.ts";
import { Invariants } from "./invariants.ts";
import type { Host } from "./network.ts";
import type { SimSettings } from "./settings.ts";
import { SupernodeNode } from "./supernode_node.ts";
import { World } from "./world.ts";

const HOUR_MS = 3_600_000;
const REPORT_EVERY_MS = HOUR_MS / 6;
/** Longer than an undoing command waits for its exit. */
const EMPTY_AFTER_MS = 2 * HOUR_MS;
/** Of a supernode on which nobody is: its sweep, its session keeper, its report to base, and what they wait with. */
const IDLE_TIMERS = 8;

export interface Progress {
  readonly atMs: number;
  readonly clients: number;
  readonly exits: number;
  readonly sessions: number;
  readonly messages: number;
}

export class Simulation {
  readonly world: World;
  readonly population: Population;
  readonly churn: Churn;
  readonly invariants: Invariants;
  breach: Breach | undefined;

  constructor(settings: SimSettings) {
    this.world = new World(settings);
    this.population = populate(this.world);
    this.churn = new Churn(this.world, this.population);
    this.invariants = new Invariants(this.world, this.population);
  }

  /**
   * Until the end or the first breach. `report` is called every ten simulated minutes; when it says "calm", the hours
   * that are left are left out.
   */
  async run(report: (progress: Progress) => "calm" | void = () => {}): Promise<void> {
    const { hours } = this.world.settings;
    const { outageMs, directoryMs } = this.invariants.bounds;
    this.churn.start();
    for (let leftMs = hours * HOUR_MS; leftMs > 0 && !this.breach; leftMs -= REPORT_EVERY_MS) {
      await this.#live(REPORT_EVERY_MS);
      if (report(this.progress) === "calm") break;
    }
    if (this.breach) return;
    this.churn.calm();
    await this.#live(Math.max(outageMs, directoryMs) + 60_000);
    if (this.breach) return;
    this.churn.leave();
    await this.#live(EMPTY_AFTER_MS);
    report(this.progress);
    this.breach ??= this.#remains();
  }

  get progress(): Progress {
    const { clients, exits, supernodes } = this.population;
    return {
      atMs: this.world.clock.now(),
      clients: clients.filter(({ run }) => run).length,
      exits: exits.filter(({ run }) => run).length,
      sessions: supernodes.reduce((sum, { running }) => sum + (running?.sessions.size ?? 0), 0),
      messages: this.world.network.messages,
    };
  }

  async #live(forMs: number): Promise<void> {
    const { slots, settings } = this.world;
    const untilMs = slots.nowMs + forMs;
    while (slots.nowMs < untilMs && !this.breach) {
      await slots.runUntil(Math.min(untilMs, slots.nowMs + settings.checkEveryMs));
      await this.invariants.look();
      this.breach = this.invariants.breach;
    }
  }

  /** What should not be there when everybody has left. */
  #remains(): Breach | undefined {
    for (const { name, running, host, supernodeId } of this.population.supernodes) {
      if (!running) continue;
      const left = {
        streams: running.streams.size,
        sessions: running.sessions.size,
        // Those to and from other supernodes stay.
        links: Math.max(0, running.links.size - 2 * (this.population.supernodes.length - 1)),
        queues: running.outbox.size,
        commands: running.outbox.awaited,
        timers: Math.max(0, host.program!.clock.pending - IDLE_TIMERS),
      };
      if (Object.values(left).every((count) => count === 0)) continue;
      return {
        invariant: "nothing grows without bound",
        message: `All have left, and ${name} still has ${JSON.stringify(left)}`,
        about: [name, supernodeId, ...[...running.sessions].slice(0, 3).map(({ sessionId }) => sessionId)],
      };
    }
    return undefined;
  }
}

function populate(world: World): Population {
  const { settings, network } = world;
  const regions = Array.from({ length: settings.regions }, (_, at) => `region-${at + 1}`);
  const regionOf = (number: number) => regions[number % regions.length]!;
  const base = new BaseNode(world, regions[0]!);
  const byName = new Map<string, SupernodeNode>();
  const supernodes = Array.from(
    { length: settings.supernodes },
    (_, at) => new SupernodeNode(world, { name: `sn-${at + 1}`, region: regionOf(at) }, byName),
  );
  const exitsById = new Map<string, ExitNode>();
  const exitsByHost = new Map<Host, ExitNode>();
  const overview: Overview = {
    network,
    supernodes: new Map(supernodes.map((supernode) => [supernode.supernodeId, supernode])),
    exits: exitsById,
    supernodesByHost: new Map(supernodes.map((supernode) => [supernode.host, supernode])),
    exitsByHost,
  };
  const exitCount = Math.round(settings.peers * settings.exitShare);
  const exits = Array.from({ length: exitCount }, (_, at) => {
    const region = regionOf(at);
    return new ExitNode(world, { name: `exit-${at + 1}`, region, supernodes: choose(supernodes, region, world) });
  });
  for (const exit of exits) {
    exitsById.set(exit.peerId, exit);
    exitsByHost.set(exit.host, exit);
  }
  const clients = Array.from({ length: settings.peers - exitCount }, (_, at) => {
    const region = regionOf(at);
    const wish = wishOf(region, regions, world);
    const place = { name: `client-${at + 1}`, region, wish, supernodes: choose(supernodes, region, world) };
    return new ClientNode(world, overview, place);
  });
  return { base, regions, supernodes, exits, clients };
}

/** Half want to leave anywhere, a third where they are, the others somewhere else. */
function wishOf(region: string, regions: readonly string[], { random }: World): string | undefined {
  const chance = random.next();
  if (chance < 0.5) return undefined;
  return chance < 0.85 ? region : regions[randomInt(random, regions.length)];
}

/** Two of the region, and one of another should those be down. */
function choose(supernodes: readonly SupernodeNode[], region: string, { random }: World): SupernodeNode[] {
  const near = supernodes.filter((supernode) => supernode.region === region);
  const far = supernodes.filter((supernode) => supernode.region !== region);
  const first = randomInt(random, near.length);
  const second = (first + 1 + randomInt(random, Math.max(1, near.length - 1))) % near.length;
  const third = far[randomInt(random, far.length)]!;
  return [...new Set([near[first]!, near[second]!, third])];
}
