/**
 * Hears what a service says of itself by sd_notify, at a socket that is there before its process is.
 */

import type { NotifyDatagram, NotifySockets } from "../../native/notify_socket.ts";
import type { Clock } from "../../protocol/clock.ts";
import { readNotice } from "../../protocol/manager/notify_text.ts";
import type { Notices } from "./runner.ts";

export interface OwnNoticesOptions {
  readonly sockets: Pick<NotifySockets, "open">;
  readonly path: string;
  /** Whose rights the service has: who else is of that user may speak for it, as may root. */
  readonly uid: number;
  readonly clock: Clock;
  /** After each of them. */
  onNotice(): void;
}

export class OwnNotices implements Disposable {
  readonly #options: OwnNoticesOptions;
  readonly #socket: Disposable;
  #said: Notices = {};

  constructor(options: OwnNoticesOptions) {
    this.#options = options;
    this.#socket = options.sockets.open(options.path, (datagram) => this.#hear(datagram));
  }

  get said(): Notices {
    return this.#said;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #hear({ text, uid }: NotifyDatagram): void {
    if (uid !== this.#options.uid && uid !== 0) return;
    const notice = readNotice(text);
    if (!notice) return;
    const atMs = this.#options.clock.now();
    this.#said = {
      ...this.#said,
      ...notice.ready && { readyAtMs: atMs },
      ...notice.alive && { aliveAtMs: atMs },
      ...notice.status !== undefined && { status: notice.status },
    };
    this.#options.onNotice();
  }
}
