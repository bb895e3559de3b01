/**
 * How the exits that are connected here fare, from all that is seen of them, and what follows from that.
 *
 *   control stream, data link, heartbeats, probes ─┬─→ ExitPool: who is given to clients, and how good
 *                                                  └─→ Rotation: whose sessions have to go elsewhere
 *
 * An exit whose control stream is there, but whose data link is gone, silent or carries nothing, is as good as gone.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { DataLinks } from "./data_links.ts";
import { ExitPool, healthOf } from "./exit_pool.ts";
import { LinkProbes, type LinkProbesOptions } from "./link_probes.ts";
import type { LinkHolder } from "./relay_tokens.ts";
import type { Rotation } from "./rotation.ts";
import type { Sessions } from "./sessions.ts";
import type { ControlStream, StreamManager } from "./stream_manager.ts";
import type { SupernodeLinks } from "./supernode_links.ts";

export interface ExitWatchOptions {
  readonly supernodeId: string;
  readonly sessions: Sessions;
  readonly streams: StreamManager;
  readonly links: DataLinks;
  readonly supernodeLinks: SupernodeLinks;
  rotation(): Rotation;
  /** For `LinkProbes`. */
  readonly probe?: LinkProbesOptions["probe"];
  readonly everyMs?: number | undefined;
  /** There are exits in a region for the first time, or none any more. */
  onExits(): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

export class ExitWatch implements Disposable {
  readonly pool: ExitPool;
  readonly probes: LinkProbes;
  readonly #options: ExitWatchOptions;

  constructor(options: ExitWatchOptions) {
    this.#options = options;
    const { supernodeId, sessions, streams, links, supernodeLinks, random } = options;
    this.probes = new LinkProbes({
      ...options,
      linkOf: (holder) => holder.kind === "peer" ? links.linkOf(holder) : supernodeLinks.linkOf(holder.id),
      isUsed: ({ kind, id }) => (kind === "peer" ? sessions.countOfExit(id) : sessions.countVia(id)) > 0,
      onDown: (holder) => this.#down(holder),
    });
    this.pool = new ExitPool({
      supernodeId,
      random,
      find: (peerId) => {
        const stream = streams.get(peerId);
        return stream && { peer: stream.machine.peer!, telemetry: stream.telemetry };
      },
      linkRttMs: (id) => {
        const link = links.linkOf({ kind: "peer", id });
        return link && (link.rttMs ?? null);
      },
      linkHealth: (id) => {
        const holder = { kind: "peer", id } as const;
        return { health: this.probes.healthOf(holder), latencyMs: this.probes.latencyMs(holder) };
      },
      sessionCount: (peerId) => sessions.countOfExit(peerId),
    });
  }

  joined({ machine }: ControlStream): void {
    const peer = machine.peer!;
    if (peer.role !== "exit") return;
    const isFirst = this.pool.add(peer);
    this.probes.watch({ kind: "peer", id: peer.peerId });
    if (isFirst) this.#options.onExits();
  }

  left({ machine }: ControlStream): void {
    const { links, rotation, onExits } = this.#options;
    const peer = machine.peer!;
    if (peer.role !== "exit") return;
    const holder = { kind: "peer", id: peer.peerId } as const;
    const wasLast = this.pool.remove(peer);
    this.probes.forget(holder);
    links.waitNoMore(holder);
    if (wasLast) onExits();
    rotation().suspect(peer.peerId);
  }

  heard({ machine, telemetry }: ControlStream): void {
    const peer = machine.peer!;
    if (peer.role !== "exit" || healthOf(telemetry) > 0) return;
    this.#options.rotation().leave(peer.peerId, telemetry?.draining ? "exit_drains" : "exit_failed");
  }

  unlinked({ kind, id }: LinkHolder): void {
    const { sessions, rotation } = this.#options;
    if (kind === "peer" && sessions.countOfExit(id) > 0) rotation().suspect(id);
  }

  [Symbol.dispose](): void {
    this.probes[Symbol.dispose]();
  }

  #down({ kind, id }: LinkHolder): void {
    const { supernodeLinks, rotation } = this.#options;
    if (kind === "peer") rotation().leave(id, "exit_failed");
    else supernodeLinks.giveUp(id);
  }
}
