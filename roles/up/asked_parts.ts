/**
 * What the supernodes and the base of a network on this machine say to administrators, read by their own APIs. One that does
 * not run, or does not answer in time, says nothing.
 */

import type { z } from "zod";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { AdminConnection } from "../admin/connection.ts";
import { readPages } from "../admin/lists.ts";
import { relaysAnswer, type RelayView } from "../base/admin_schema.ts";
import { auditAnswer, blocksAnswer } from "../admin_api/schema.ts";
import {
  linksAnswer,
  type LinkView,
  sessionsAnswer,
  type SessionView,
  type StatusAnswer,
  statusAnswer,
  streamsAnswer,
  type StreamView,
} from "../supernode/admin_schema.ts";
import type { AskedPart, ShownNetwork } from "./watched_network.ts";

const WITHIN_MS = 3_000;
/** More peers than this are not on one machine. */
const MOST = { peer: undefined, limit: 10_000 };
const NEWEST = 50;

type Audit = z.output<typeof auditAnswer>["entries"];

/** What all of them say. */
interface Said {
  readonly part: AskedPart;
  /** Who is turned away. */
  readonly blocked: readonly string[];
  /** The newest first. */
  readonly audit: Audit;
}

export interface SupernodeSaid extends Said {
  readonly status: StatusAnswer;
  readonly streams: readonly StreamView[];
  readonly sessions: readonly SessionView[];
  readonly links: readonly LinkView[];
}

export interface BaseSaid extends Said {
  readonly relays: readonly RelayView[];
}

export interface AskedOptions {
  readonly network: Pick<ShownNetwork, "asked" | "isRunning">;
  readonly clock: Clock;
}

export class AskedParts {
  readonly #options: AskedOptions;

  constructor(options: AskedOptions) {
    this.#options = options;
  }

  /** Those that run. */
  running(role?: AskedPart["role"]): AskedPart[] {
    const { network } = this.#options;
    return network.asked.filter((part) => (role ?? part.role) === part.role && network.isRunning(part.name));
  }

  /** Never rejects. */
  async supernodes(signal: AbortSignal): Promise<SupernodeSaid[]> {
    return await this.#ask("supernode", signal, async (part, connection) => {
      const [shared, status, streams, sessions, links] = await Promise.all([
        this.#shared(part, connection),
        connection.call({ path: "/v1/status", answer: statusAnswer }),
        readPages(connection, MOST, "streams", streamsAnswer, (page) => page.streams),
        readPages(connection, MOST, "sessions", sessionsAnswer, (page) => page.sessions),
        readPages(connection, MOST, "links", linksAnswer, (page) => page.links),
      ]);
      return { ...shared, status, streams: streams.items, sessions: sessions.items, links: links.items };
    });
  }

  /** Never rejects. */
  async bases(signal: AbortSignal): Promise<BaseSaid[]> {
    return await this.#ask("base", signal, async (part, connection) => {
      const [shared, relays] = await Promise.all([
        this.#shared(part, connection),
        readPages(connection, MOST, "relays", relaysAnswer, (page) => page.relays),
      ]);
      return { ...shared, relays: relays.items };
    });
  }

  /** Calls one of them, as an administrator. */
  async call<T>(
    { stateDir }: AskedPart,
    signal: AbortSignal,
    does: (connection: AdminConnection) => Promise<T>,
  ): Promise<T> {
    return await does(await AdminConnection.find({}, { stateDir, signal }));
  }

  async #ask<T>(
    role: AskedPart["role"],
    signal: AbortSignal,
    read: (part: AskedPart, connection: AdminConnection) => Promise<T>,
  ): Promise<T[]> {
    using limit = deadline(this.#options.clock, WITHIN_MS, "ask a part", signal);
    const answers = this.running(role).map((part) =>
      this.call(part, limit.signal, (connection) => read(part, connection)).catch(() => undefined)
    );
    return (await Promise.all(answers)).filter((answer) => answer !== undefined);
  }

  async #shared(part: AskedPart, connection: AdminConnection): Promise<Said> {
    const [blocks, audit] = await Promise.all([
      readPages(connection, MOST, "blocks", blocksAnswer, (page) => page.blocks),
      connection.call({ path: `/v1/audit?limit=${NEWEST}`, answer: auditAnswer }),
    ]);
    return { part, blocked: blocks.items.map(({ peerId }) => peerId), audit: audit.entries };
  }
}
