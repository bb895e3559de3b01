/**
 * What must hold all the time, looked at again and again while the simulation runs.
 *
 *   no client without a way out      who is there, and could have an exit, has one that works again within `outageMs`
 *   no session is left behind        a record or a served session that its owner no longer knows goes within `leftMs`
 *   the directory converges          who is listed at base is who is there, within `directoryMs` of the last change
 *   no command is applied twice, none is lost, outcomes are true        `command_audit.ts`
 *
 * A time counts from when the last thing went wrong that has to do with it: two faults in a row may take twice as long.
 */

import { SUPERNODE_EXPIRY_MS, SUPERNODE_HEARTBEAT_MS } from "../../protocol/directory.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { Population } from "./churn.ts";
import type { ClientNode } from "./client_node.ts";
import type { Breach } from "./command_audit.ts";
import { PIPE_TIMEOUT_MS } from "./network.ts";
import type { SimSettings } from "./settings.ts";
import type { SupernodeNode } from "./supernode_node.ts";
import type { World } from "./world.ts";

export interface Bounds {
  readonly outageMs: number;
  readonly leftMs: number;
  readonly directoryMs: number;
  readonly commandMs: number;
}

/** What the pace allows. */
export function boundsOf({ timeoutMs, probeEveryMs, sweepEveryMs, checkEveryMs }: SimSettings): Bounds {
  const noticedMs = Math.max(timeoutMs, PIPE_TIMEOUT_MS, 1.25 * probeEveryMs + 7_000) + sweepEveryMs;
  const backMs = 30_000 + 10_000; // the longest wait before a new try, and the longest try
  const askedMs = 2 * 15_000; // for the sessions, then for an exit
  return {
    outageMs: noticedMs + backMs + askedMs + checkEveryMs,
    leftMs: 2 * (noticedMs + backMs) + 60_000,
    directoryMs: SUPERNODE_EXPIRY_MS + SUPERNODE_HEARTBEAT_MS + 10_000 + checkEveryMs,
    commandMs: 2 * sweepEveryMs + 1_000 + checkEveryMs,
  };
}

/** Sessions are gone through less often than clients. */
const SESSIONS_EVERY = 6;

export class Invariants {
  readonly bounds: Bounds;
  readonly worst = { outageMs: 0, leftMs: 0, directoryMs: 0, queue: 0, sessions: 0, streams: 0, pendingCommands: 0 };
  readonly counts = { looks: 0, clients: 0, sessions: 0, listings: 0 };
  /** How long outages lasted that have ended. */
  readonly outagesMs: number[] = [];
  readonly #world: World;
  readonly #population: Population;
  readonly #breaches: Breach[] = [];
  readonly #supernodes: ReadonlyMap<string, SupernodeNode>;
  /** Since when something is not as it should be, by what it is. */
  readonly #wrongSince = new Map<string, number>();
  #seen = new Set<string>();

  constructor(world: World, population: Population) {
    this.#world = world;
    this.#population = population;
    this.bounds = boundsOf(world.settings);
    this.#supernodes = new Map(population.supernodes.map((supernode) => [supernode.supernodeId, supernode]));
  }

  get breach(): Breach | undefined {
    return this.#breaches[0] ?? this.#world.commands.breaches[0];
  }

  async look(): Promise<void> {
    this.counts.looks++;
    this.#lookAtClients();
    if (this.counts.looks % SESSIONS_EVERY === 0) this.#lookAtSessions();
    await this.#lookAtDirectory();
    this.#lookAtSizes();
    this.#world.commands.overdue(this.bounds.commandMs, (id) => this.#upSinceMs(id));
  }

  #upSinceMs(supernodeId: string): number | undefined {
    const supernode = this.#supernodes.get(supernodeId)!;
    return supernode.isUp ? supernode.changedMs : undefined;
  }

  #lookAtClients(): void {
    const nowMs = this.#world.clock.now();
    const offers = this.#offers();
    for (const client of this.#population.clients) {
      if (!client.run) continue;
      this.counts.clients++;
      client.use();
      if (client.hasWay || !this.#couldHaveWay(client, offers)) {
        if (client.withoutSinceMs !== undefined && client.hasWay) this.outagesMs.push(nowMs - client.withoutSinceMs);
        client.withoutSinceMs = undefined;
        continue;
      }
      client.withoutSinceMs ??= nowMs;
      const forMs = nowMs - Math.max(client.withoutSinceMs, this.#lastFaultMs(client));
      this.worst.outageMs = Math.max(this.worst.outageMs, forMs);
      if (forMs > this.bounds.outageMs) this.#tellOutage(client, forMs);
    }
  }

  #tellOutage(client: ClientNode, forMs: number): void {
    const { present, supernode, peerId, name } = client;
    const has = present ? `session ${present.sessionId} at exit ${present.exitPeerId}` : "no session";
    const at = supernode ? `is connected to ${supernode.name}` : "is not connected";
    this.#breaches.push({
      invariant: "no client without a way out",
      message: `${name} has had none for ${forMs / 1000} s: it ${at} and has ${has}`,
      about: [
        name,
        peerId,
        ...supernode ? [supernode.name] : [],
        ...present ? [present.sessionId, present.exitPeerId] : [],
      ],
    });
  }

  /** For every supernode, the regions in which it could find an exit now; "" is any. */
  #offers(): Map<SupernodeNode, Set<string>> {
    const { base, supernodes, exits } = this.#population;
    const { network } = this.#world;
    const hosted = new Map<SupernodeNode, Set<string>>();
    for (const exit of exits) {
      const host = exit.supernode;
      if (!host?.wholePipeTo(exit.peerId)) continue;
      hosted.set(host, (hosted.get(host) ?? new Set([""])).add(exit.region));
    }
    return new Map(
      supernodes.filter(({ isUp }) => isUp).map((home) => {
        const offered = new Set(hosted.get(home));
        const knowsBase = ({ region }: SupernodeNode) => base.isUp && !network.isCut(region, base.host.region);
        if (!knowsBase(home)) return [home, offered];
        for (const [host, regions] of hosted) {
          if (network.isCut(home.region, host.region) || !knowsBase(host)) continue;
          for (const region of regions) offered.add(region);
        }
        return [home, offered];
      }),
    );
  }

  /** Whether it is at a supernode that could give it what it wants, or could come to one. */
  #couldHaveWay(client: ClientNode, offers: ReadonlyMap<SupernodeNode, ReadonlySet<string>>): boolean {
    const { network } = this.#world;
    // A client stays with the supernode that has let it in.
    const present = client.supernode;
    const reachable = present?.isUp ? [present] : client.supernodes;
    return reachable.some((supernode) =>
      !network.isCut(client.region, supernode.region) && offers.get(supernode)?.has(client.wish ?? "")
    );
  }

  #lastFaultMs(client: ClientNode): number {
    const { network } = this.#world;
    const { base, exits } = this.#population;
    let lastMs = Math.max(client.run!.startedMs, client.brokenMs, network.cutChangedMs, base.upSinceMs);
    for (const { changedMs } of client.supernodes) lastMs = Math.max(lastMs, changedMs);
    const exitPeerId = client.present?.exitPeerId;
    const exit = exitPeerId === undefined ? undefined : this.#exitOf(exitPeerId, exits);
    return exit ? Math.max(lastMs, exit.endedMs, exit.brokenMs) : lastMs;
  }

  readonly #exits = new Map<string, Population["exits"][number]>();

  #exitOf(peerId: string, exits: Population["exits"]) {
    if (this.#exits.size === 0) { for (const exit of exits) this.#exits.set(exit.peerId, exit); }
    return this.#exits.get(peerId);
  }

  #lookAtSessions(): void {
    this.#seen = new Set();
    const clients = new Map(this.#population.clients.filter(({ run }) => run).map((client) => [client.peerId, client]));
    for (const supernode of this.#population.supernodes) {
      for (const record of supernode.running?.sessions ?? []) {
        this.counts.sessions++;
        const isOwn = record.clientSupernodeId === supernode.supernodeId;
        const isWanted = isOwn
          ? this.#isWantedByClient(record, supernode, clients.get(record.clientPeerId))
          : this.#isWantedByOwner(record, supernode);
        const owner = isOwn ? record.clientPeerId : record.clientSupernodeId;
        const what = `session ${record.sessionId} at ${supernode.name}, ${record.state}`;
        if (!isWanted) {
          this.#wrong(what, owner, [record.sessionId, supernode.name, this.#supernodes.get(owner)?.name ?? owner]);
        }
      }
    }
    for (const exit of this.#population.exits) {
      const home = exit.supernode;
      if (!home?.running?.streams.get(exit.peerId)) continue;
      for (const sessionId of exit.served.keys()) {
        if (!home.running.sessions.find(sessionId)) {
          const about = [sessionId, exit.name, exit.peerId, home.name];
          this.#wrong(`session ${sessionId} served by ${exit.name}`, home.supernodeId, about);
        }
      }
    }
    for (const what of this.#wrongSince.keys()) if (!this.#seen.has(what)) this.#wrongSince.delete(what);
  }

  /** A client that is connected uses every session there is of it. */
  #isWantedByClient({ sessionId, state }: SessionRecord, at: SupernodeNode, client: ClientNode | undefined): boolean {
    if (state !== "active" && state !== "rotating") return true;
    // One that is gone has a while to come back.
    if (client?.supernode !== at) return at.running!.streams.get(client?.peerId ?? "") !== undefined;
    return client.sessionIds.has(sessionId);
  }

  #isWantedByOwner({ sessionId, clientSupernodeId }: SessionRecord, at: SupernodeNode): boolean {
    const owner = this.#supernodes.get(clientSupernodeId)!;
    const { base } = this.#population;
    const { network } = this.#world;
    if (!owner.isUp || network.isCut(owner.region, at.region)) return true;
    // Where the owner is, base has to say.
    if (!base.isUp || [at, owner].some(({ region }) => network.isCut(region, base.host.region))) return true;
    return owner.running!.sessions.find(sessionId) !== undefined;
  }

  #wrong(what: string, owner: string, about: readonly string[]): void {
    const nowMs = this.#world.clock.now();
    const sinceMs = this.#wrongSince.get(what) ?? nowMs;
    this.#wrongSince.set(what, sinceMs);
    this.#seen.add(what);
    this.worst.leftMs = Math.max(this.worst.leftMs, nowMs - sinceMs);
    if (nowMs - sinceMs <= this.bounds.leftMs) return;
    this.#breaches.push({
      invariant: "no session is left behind",
      message: `${what} is there after ${(nowMs - sinceMs) / 1000} s, and its owner, ${owner}, does not know it`,
      about,
    });
  }

  async #lookAtDirectory(): Promise<void> {
    const { base, supernodes } = this.#population;
    const { network } = this.#world;
    if (!base.isUp) return;
    const listed = new Map((await base.store.supernodes.list()).map((record) => [record.supernodeId, record]));
    for (const supernode of supernodes) {
      this.counts.listings++;
      const record = listed.get(supernode.supernodeId);
      const canTell = !network.isCut(supernode.region, base.host.region);
      if (supernode.isUp && !canTell) continue;
      const isRight = supernode.isUp
        ? record !== undefined && record.status.exits > 0 === supernode.running!.status.exits > 0
        : record === undefined;
      const forMs = this.#wrongListingMs(supernode, isRight);
      this.worst.directoryMs = Math.max(this.worst.directoryMs, forMs);
      if (forMs <= this.bounds.directoryMs) continue;
      const is = supernode.isUp ? "up" : "down";
      this.#breaches.push({
        invariant: "the directory converges",
        message: `${supernode.name} is ${is}, and after ${forMs / 1000} s base has ${JSON.stringify(record?.status)}`,
        about: [supernode.name, supernode.supernodeId, "base", "network"],
      });
    }
  }

  readonly #wrongListings = new Map<SupernodeNode, number>();

  #wrongListingMs(supernode: SupernodeNode, isRight: boolean): number {
    const nowMs = this.#world.clock.now();
    if (isRight) {
      this.#wrongListings.delete(supernode);
      return 0;
    }
    const sinceMs = this.#wrongListings.get(supernode) ?? nowMs;
    this.#wrongListings.set(supernode, sinceMs);
    const { base } = this.#population;
    return nowMs - Math.max(sinceMs, supernode.changedMs, base.upSinceMs, this.#world.network.cutChangedMs);
  }

  #lookAtSizes(): void {
    const { worst } = this;
    for (const { running } of this.#population.supernodes) {
      if (!running) continue;
      worst.queue = Math.max(worst.queue, running.outbox.size);
      worst.sessions = Math.max(worst.sessions, running.sessions.size);
      worst.streams = Math.max(worst.streams, running.streams.size);
    }
    worst.pendingCommands = Math.max(worst.pendingCommands, this.#world.commands.open);
  }
}
