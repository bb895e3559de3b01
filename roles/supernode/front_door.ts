/**
 * The one port of a supernode, and who answers what comes in there.
 *
 *   /control    a peer's control stream     → StreamManager, which asks who it is
 *   /relay      a data link                 → DataLinks, for whoever holds a relay token
 *   the rest    other supernodes' requests  → the peering API, which asks for signatures
 */

import { Problem } from "../../edge/problem.ts";
import { WebPort, type WebPortOptions, type WebsocketAnswer, type WebsocketCall } from "../../net/web_port.ts";
import { CONTROL_PATH, RELAY_PATH } from "../../protocol/control/endpoints.ts";
import type { CertificateAndKey } from "../../net/renewable_listener.ts";
import type { DataLinks } from "./data_links.ts";
import type { LinkHolder, RelayTokens } from "./relay_tokens.ts";
import type { StreamManager } from "./stream_manager.ts";

export interface FrontDoorOptions
  extends Pick<WebPortOptions, "tls" | "clock" | "log" | "metrics" | "fetch" | "limits"> {
  readonly streams: Pick<StreamManager, "makeRoom" | "take">;
  readonly links: Pick<DataLinks, "isFull"> & {
    take(...call: Parameters<DataLinks["take"]>): void;
  };
  readonly tokens: RelayTokens;
  /** Whether somebody has been turned away, perhaps since they were given a token. */
  isBlocked(holder: LinkHolder): boolean;
}

export class FrontDoor {
  readonly #options: FrontDoorOptions;
  #port: WebPort | undefined;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
  }

  /** Begins to take connections, and gives where. Throws as `Deno.listen` does. */
  open(listen: WebPortOptions["listen"]): Deno.NetAddr {
    this.#port = new WebPort({ ...this.#options, listen, onWebsocket: (call) => this.#onWebsocket(call) });
    return this.#port.address;
  }

  /** Connections that come from now on get this certificate. Only for a port that had one. */
  renewTls(tls: CertificateAndKey): void {
    this.#port?.renewTls(tls);
  }

  close(): void {
    this.#port?.close();
  }

  /** Settles when nothing of the port runs any more. Call `close` first. */
  async closed(): Promise<void> {
    await this.#port?.closed();
  }

  #onWebsocket({ path, authorization, remoteAddress }: WebsocketCall): WebsocketAnswer {
    const { streams, links, tokens, isBlocked } = this.#options;
    if (path === CONTROL_PATH) {
      if (!streams.makeRoom()) return { status: 503 };
      return { take: (stream, first, settled) => streams.take(stream, { first, remoteAddress, settled }) };
    }
    if (path !== RELAY_PATH) return { status: 404 };
    if (links.isFull) return { status: 503 };
    const token = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
    const holder = token === undefined ? undefined : tokens.redeem(token);
    if (!holder || isBlocked(holder)) return { status: 401 };
    return {
      take(stream, first, settled) {
        settled();
        links.take(holder, stream, { first });
      },
    };
  }
}

/** Answers other supernodes that make their requests here although they are answered elsewhere. */
export function nothingHere(): Response {
  return new Problem("not_found", "Cannot answer here: other supernodes are answered where base says").response();
}
