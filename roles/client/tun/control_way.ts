/**
 * The way to the supernode as sessions that carry packets see it. They need the supernode's relay, not its control stream.
 * But when probes fail while the stream is down too, it is likely the supernode that has gone, and no exit is to blame:
 * the session stays, and is replaced if the stream comes back at another supernode.
 */

import type { PeerConnection } from "../../../net/peer_connection.ts";
import type { SupernodeWay } from "../../../net/watched_session.ts";

export class ControlWay implements SupernodeWay {
  readonly #connection: () => Pick<PeerConnection, "control">;
  losses = 0;

  constructor(connection: () => Pick<PeerConnection, "control">) {
    this.#connection = connection;
  }

  get isUp(): boolean {
    return this.#connection().control.isOpen;
  }

  up(signal: AbortSignal): Promise<void> {
    return this.#connection().control.opened(signal);
  }

  opened(): void {
    this.losses++;
  }
}
