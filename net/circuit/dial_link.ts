/**
 * Making a link to a relay: a WebSocket whose request is signed (`link_auth.ts`), for the mux to be laid on.
 */

import type { BufferPool } from "../buffer_pool.ts";
import type { Link } from "../link.ts";
import { WebsocketLink } from "../websocket.ts";
import { dialWebsocket, type Locate } from "../websocket_dial.ts";
import { type LinkSigning, signLink } from "./link_auth.ts";

export interface LinkDialling extends Omit<LinkSigning, "recipient"> {
  readonly pool: BufferPool;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Where the relay's host is. Default: where the system finds it. */
  readonly locate?: Locate | undefined;
  /** To be sent beside those of the signature. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A relay as far as reaching it goes. */
export interface RelayPlace {
  readonly relayId: string;
  readonly url: string;
}

/** Makes a link to the relay, not yet started. Rejects with a DialError. */
export async function dialRelayLink(relay: RelayPlace, dialling: LinkDialling, signal: AbortSignal): Promise<Link> {
  const { pool, random, caCerts, locate } = dialling;
  const { address, headers: signed } = signLink(relay.url, { ...dialling, recipient: relay.relayId });
  const headers = { ...signed, ...dialling.headers };
  const { stream, first } = await dialWebsocket(address, { headers, random, caCerts, locate, signal });
  return new WebsocketLink(stream, pool, { first, random });
}
