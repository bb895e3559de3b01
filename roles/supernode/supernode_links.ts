/**
 * Where the streams of a session go on: to the exit's data link, or over a link to the exit's supernode, which is made
 * when it is first wanted and again when it was lost.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { RELAY_PATH, supernodeEndpoint } from "../../protocol/control/endpoints.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Random } from "../../protocol/random.ts";
import type { MuxConnection } from "../../net/mux.ts";
import { dialWebsocket } from "../../net/websocket_dial.ts";
import { WebsocketLink } from "../../net/websocket.ts";
import type { DataLinks, Route } from "./data_links.ts";
import type { Peering } from "./peering.ts";
import type { LinkHolder } from "./relay_tokens.ts";
import type { Sessions } from "./sessions.ts";

const CONNECT_WITHIN_MS = 5_000;

export interface SupernodeLinksOptions {
  readonly links: DataLinks;
  readonly peering: Peering;
  readonly clock: Clock;
  readonly random: Random;
  readonly caCerts?: readonly string[] | undefined;
  /** Settles when an exit that is on its way back is there, or is not awaited any more. */
  exitBack(exitPeerId: string): Promise<void>;
}

export class SupernodeLinks implements Disposable {
  readonly #options: SupernodeLinksOptions;
  readonly #made = new Map<string, MuxConnection>();
  readonly #connecting = new Map<string, Promise<MuxConnection>>();
  readonly #stop = new AbortController();

  constructor(options: SupernodeLinksOptions) {
    this.#options = options;
  }

  /** Rejects with a DialError when the session is not `from`'s, or its exit cannot be reached. */
  async route(sessionId: string, from: LinkHolder, sessions: Sessions, supernodeId: string): Promise<Route> {
    const record = sessions.served(sessionId);
    const owner = from.kind === "peer" ? record?.clientPeerId : record?.clientSupernodeId;
    // A supernode's own session must come from its client, or somebody could send its streams round in circles.
    if (!record || owner !== from.id || from.kind === "peer" !== sessions.isOwn(record)) {
      throw new DialError("unauthorized", "There is no such session, or it is not yours");
    }
    const exit = record.exit!;
    if (exit.supernodeId !== supernodeId) return { kind: "toExit", link: await this.#linkTo(exit.supernodeId) };
    const { links, exitBack } = this.#options;
    const holder = { kind: "peer", id: exit.exit.peerId } as const;
    if (!links.linkOf(holder)) await exitBack(holder.id);
    const link = links.linkOf(holder);
    if (!link) throw new DialError("path_down", "The exit is not connected at present");
    return { kind: "fromClient", link };
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DialError("path_down", "The supernode is closing"));
  }

  #linkTo(supernodeId: string): Promise<MuxConnection> {
    const made = this.#made.get(supernodeId);
    if (made && !made.closed) return Promise.resolve(made);
    const connecting = this.#connecting.get(supernodeId) ??
      this.#connect(supernodeId).finally(() => this.#connecting.delete(supernodeId));
    this.#connecting.set(supernodeId, connecting);
    return connecting;
  }

  async #connect(supernodeId: string): Promise<MuxConnection> {
    const { links, peering, clock, random, caCerts } = this.#options;
    using limit = deadline(clock, CONNECT_WITHIN_MS, "reach another supernode", this.#stop.signal);
    try {
      const { token, url } = await peering.relayToken(supernodeId, limit.signal);
      const headers = { Authorization: `Bearer ${token}` };
      const endpoint = supernodeEndpoint(url, RELAY_PATH);
      const { stream, first } = await dialWebsocket(endpoint, { headers, random, caCerts, signal: limit.signal });
      const link = new WebsocketLink(stream, links.pool, { first, random });
      const connection = links.carry({ kind: "supernode", id: supernodeId }, link, "client");
      this.#made.set(supernodeId, connection);
      void connection.ended.then(() => {
        if (this.#made.get(supernodeId) === connection) this.#made.delete(supernodeId);
      });
      return connection;
    } catch (error) {
      throw new DialError("path_down", `The exit's supernode cannot be reached: ${messageOf(error)}`, { cause: error });
    }
  }
}
