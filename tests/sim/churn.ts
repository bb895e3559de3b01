/**
 * What happens to the network: who comes and goes, and what fails. All at times of chance, with the mean times of
 * `settings.ts`; clients keep to a curve over the day of their region.
 */

import type { Clock } from "../../protocol/clock.ts";
import { type Random, randomInt } from "../../protocol/random.ts";
import type { BaseNode } from "./base_node.ts";
import type { ClientNode } from "./client_node.ts";
import type { ExitNode } from "./exit_node.ts";
import { type EndKind, type Pipe, PIPE_TIMEOUT_MS } from "./network.ts";
import type { PeerNode } from "./peer_node.ts";
import type { SupernodeNode } from "./supernode_node.ts";
import type { World } from "./world.ts";

export interface Population {
  readonly base: BaseNode;
  readonly regions: readonly string[];
  readonly supernodes: readonly SupernodeNode[];
  readonly exits: readonly ExitNode[];
  readonly clients: readonly ClientNode[];
}

const DAY_MS = 86_400_000;
/** Of a region's clients, those that are there at its quietest and its busiest hour. */
const LEAST_SHARE = 0.15;
const MOST_SHARE = 0.85;
/** Everybody who is to be there at the beginning comes within this time. */
const EXITS_COME_MS = 60_000;
const CLIENTS_COME_MS = 180_000;

/** The share of a region's clients that should be there; the regions' days are spread over the clock. */
export function onlineShare(atMs: number, regionNumber: number, regions: number): number {
  const day = atMs / DAY_MS - regionNumber / regions;
  return LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * (0.5 - 0.5 * Math.cos(2 * Math.PI * day));
}

export class Churn {
  readonly counts = {
    clientsCame: 0,
    clientsLeft: 0,
    clientsDied: 0,
    exitsDied: 0,
    supernodesKilled: 0,
    baseOutages: 0,
    cuts: 0,
    connectionsBroken: 0,
  };
  readonly #world: World;
  readonly #population: Population;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #cuts = new Set<readonly [string, string]>();
  #isCalm = false;

  constructor(world: World, population: Population) {
    this.#world = world;
    this.#population = population;
    this.#clock = world.clock;
    this.#random = world.random;
  }

  /** Everybody begins to come. */
  start(): void {
    const { base, supernodes, exits, clients, regions } = this.#population;
    const { faults } = this.#world.settings;
    base.start();
    for (const supernode of supernodes) {
      this.#after(this.#random.next() * 5_000, () => void supernode.start());
      this.#in(faults.supernodeRunsMs, () => this.#killSupernode(supernode));
    }
    for (const exit of exits) this.#after(this.#random.next() * EXITS_COME_MS, () => this.#exitComes(exit));
    for (const client of clients) {
      const share = onlineShare(0, regions.indexOf(client.region), regions.length);
      if (this.#random.next() >= share) this.#clientIsAway(client);
      else this.#after(this.#random.next() * CLIENTS_COME_MS, () => this.#clientComes(client));
    }
    this.#in(faults.baseRunsMs, () => this.#killBase());
    this.#in(faults.cutEveryMs, () => this.#cut());
    this.#breakOne();
  }

  /** Nothing fails and nobody comes or goes any more; what is down comes back. */
  calm(): void {
    this.#isCalm = true;
    const { base, supernodes, exits } = this.#population;
    for (const cut of [...this.#cuts]) this.#heal(cut);
    if (!base.isUp) base.start();
    for (const supernode of supernodes) if (!supernode.host.program) void supernode.start();
    for (const exit of exits) if (!exit.run) void exit.start();
  }

  /** Everybody but the supernodes goes, some without a word. */
  leave(): void {
    const { clients, exits } = this.#population;
    for (const client of clients) {
      if (!client.run) continue;
      this.#clock.after(this.#random.next() * 60_000, () => this.#endClient(client));
    }
    for (const exit of exits) {
      this.#clock.after(60_000 + this.#random.next() * 60_000, () => exit.kill(this.#anyEnd(0.5)));
    }
  }

  #clientComes(client: ClientNode): void {
    this.counts.clientsCame++;
    void client.start();
    this.#in(this.#world.settings.faults.clientStaysMs, () => {
      this.#endClient(client);
      this.#clientIsAway(client);
    });
  }

  #endClient(client: ClientNode): void {
    const isGraceful = this.#random.next() < 0.7;
    this.counts[isGraceful ? "clientsLeft" : "clientsDied"]++;
    if (isGraceful) client.stop();
    else client.kill(this.#anyEnd(2 / 3));
  }

  /** So long that the curve of the day is kept. */
  #clientIsAway(client: ClientNode): void {
    const { regions } = this.#population;
    const share = onlineShare(this.#clock.now(), regions.indexOf(client.region), regions.length);
    const meanMs = this.#world.settings.faults.clientStaysMs * (1 - share) / share;
    // No less than it takes to leave.
    this.#after(5_000 + this.#exponential(meanMs), () => this.#clientComes(client));
  }

  #exitComes(exit: ExitNode): void {
    const { faults } = this.#world.settings;
    void exit.start();
    this.#in(faults.exitLivesMs, () => {
      this.counts.exitsDied++;
      exit.kill(this.#anyEnd(0.5));
      this.#in(faults.exitAwayMs, () => this.#exitComes(exit));
    });
  }

  #killSupernode(supernode: SupernodeNode): void {
    const { faults } = this.#world.settings;
    this.counts.supernodesKilled++;
    supernode.kill(this.#anyEnd(0.7));
    this.#in(faults.supernodeDownMs, () => {
      void supernode.start();
      this.#in(faults.supernodeRunsMs, () => this.#killSupernode(supernode));
    });
  }

  #killBase(): void {
    const { base } = this.#population;
    const { faults } = this.#world.settings;
    this.counts.baseOutages++;
    base.kill();
    this.#in(faults.baseDownMs, () => {
      base.start();
      this.#in(faults.baseRunsMs, () => this.#killBase());
    });
  }

  #cut(): void {
    const { regions } = this.#population;
    const { faults } = this.#world.settings;
    const first = randomInt(this.#random, regions.length);
    const second = (first + 1 + randomInt(this.#random, regions.length - 1)) % regions.length;
    const pair = [regions[first]!, regions[second]!] as const;
    if (!this.#world.network.isCut(...pair)) {
      this.counts.cuts++;
      this.#cuts.add(pair);
      this.#world.network.cut(...pair, { pipes: this.#pipes(), nowMs: this.#clock.now() });
      this.#world.trace.add("network", `cut between ${pair.join(" and ")}`);
      this.#in(faults.cutLastsMs, () => this.#heal(pair));
    }
    this.#in(faults.cutEveryMs, () => this.#cut());
  }

  #heal(pair: readonly [string, string]): void {
    if (!this.#cuts.delete(pair)) return;
    this.#world.network.heal(...pair, this.#clock.now());
    this.#world.trace.add("network", `healed between ${pair.join(" and ")}`);
  }

  *#pipes(): Generator<Pipe> {
    for (const { host } of this.#population.supernodes) if (host.program) yield* host.program.pipes;
  }

  /** Breaks somebody's connection, and so on. */
  #breakOne(): void {
    const { clients, exits } = this.#population;
    const { faults, peers } = this.#world.settings;
    this.#in(faults.connectionLastsMs / peers, () => {
      const number = randomInt(this.#random, clients.length + exits.length);
      const peer: PeerNode = number < clients.length ? clients[number]! : exits[number - clients.length]!;
      if (peer.run) this.#breakConnectionOf(peer);
      this.#breakOne();
    });
  }

  #breakConnectionOf(peer: PeerNode): void {
    this.counts.connectionsBroken++;
    const { sockets, pipes } = peer.run!.program;
    const isHeard = this.#random.next() < 0.7;
    if (this.#random.next() < 0.5) { for (const pipe of pipes) pipe.fail(isHeard ? 0 : PIPE_TIMEOUT_MS); }
    else for (const socket of sockets) isHeard ? socket.break() : socket.deafen();
    peer.brokenMs = this.#clock.now();
    this.#world.trace.add(peer.name, "loses a connection", { peer_id: peer.peerId, heard: isHeard });
  }

  #anyEnd(resetShare: number): EndKind {
    return this.#random.next() < resetShare ? "reset" : "silent";
  }

  #in(meanMs: number, happen: () => void): void {
    this.#after(this.#exponential(meanMs), happen);
  }

  #after(delayMs: number, happen: () => void): void {
    this.#clock.after(delayMs, () => {
      if (!this.#isCalm) happen();
    });
  }

  #exponential(meanMs: number): number {
    return -meanMs * Math.log(1 - this.#random.next());
  }
}
