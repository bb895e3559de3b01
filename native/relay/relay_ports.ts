/**
 * The ports of all sessions: opened from a range, found by session and by descriptor, closed with the session.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { type Random, randomInt, randomOf } from "../../protocol/random.ts";
import { Mac1Checker } from "../../protocol/wireguard/mac1.ts";
import { RelayedSession, type RelaySide } from "../../protocol/wireguard/relay_session.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import type { Epoll } from "../epoll.ts";
import { Errno, SysError } from "../errno.ts";
import type { Libc } from "../libc.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import type { RelayCounts, RelayEngineOptions, RelaySession } from "./relay_messages.ts";
import { endpointAt, placeAt } from "./relay_place.ts";
import { RelayPort, type RelaySocket, RelaySocketOpener } from "./relay_port.ts";

/** Ports that others have are passed over, but not for ever. */
const MAX_TRIES = 256;

export interface RelayPortsOptions extends RelayEngineOptions {
  readonly isV6: boolean;
  onLearned(sessionId: string, side: RelaySide, at: Endpoint): void;
}

export class RelayPorts implements Disposable {
  readonly #opener: RelaySocketOpener;
  readonly #epoll: Epoll;
  readonly #options: RelayPortsOptions;
  readonly #random: Random = randomOf(crypto);
  readonly #mac1 = new Mac1Checker();
  readonly #bySession = new Map<string, RelayPort>();
  readonly #byFd: (RelayPort | undefined)[] = [];
  /** Ports of ours, by number less the first. */
  readonly #isTaken: Uint8Array;

  constructor(libc: Libc, epoll: Epoll, options: RelayPortsOptions) {
    this.#opener = new RelaySocketOpener(libc, options.isV6);
    this.#epoll = epoll;
    this.#options = options;
    this.#isTaken = new Uint8Array(options.lastPort - options.firstPort + 1);
  }

  byFd(fd: number): RelayPort | undefined {
    return this.#byFd[fd];
  }

  /** Opens a session's port; throws `in_use`, `no_port` or `busy`. */
  open(session: RelaySession): number {
    const { sessionId, clientKey, exitKey, port } = session;
    if (this.#bySession.has(sessionId)) {
      throw new CulvertError("in_use", `Cannot relay a session: ${sessionId} is relayed already`);
    }
    const { maxSessions } = this.#options;
    if (this.#bySession.size >= maxSessions) {
      throw new CulvertError("busy", `Cannot relay a session: there must be fewer than ${maxSessions} others`);
    }
    using stack = new DisposableStack();
    const machine = new RelayedSession<UdpEndpoint>(this.#mac1, {
      clientKey,
      exitKey,
      clientAt: this.#placeAt(session.clientAt),
      exitAt: this.#placeAt(session.exitAt),
      onLearned: (side, at) => this.#options.onLearned(sessionId, side, endpointAt(at)),
    });
    const socket = port === undefined ? this.#anySocket() : this.#socket(port);
    if (!socket) {
      throw port === undefined
        ? new CulvertError("no_port", `Cannot relay a session: no port of ${this.#range()} is free`)
        : new CulvertError("in_use", `Cannot relay a session: port ${port} is in use`);
    }
    const opened = stack.use(new RelayPort(sessionId, machine, socket));
    this.#epoll.add(opened.fd);
    stack.move();
    this.#bySession.set(sessionId, opened);
    this.#byFd[opened.fd] = opened;
    this.#mark(opened.port, true);
    return opened.port;
  }

  place(sessionId: string, side: RelaySide, at: Endpoint): undefined {
    const port = this.#bySession.get(sessionId);
    if (!port) throw new CulvertError("no_session", `Cannot place a side: no session ${sessionId} is relayed here`);
    port.session.place(side, this.#placeAt(at)!);
  }

  /** Harmless when there is none. */
  end(sessionId: string): undefined {
    const port = this.#bySession.get(sessionId);
    if (!port) return;
    this.#bySession.delete(sessionId);
    this.#byFd[port.fd] = undefined;
    this.#mark(port.port, false);
    port[Symbol.dispose]();
  }

  counts(): RelayCounts[] {
    return Array.from(this.#bySession.values(), (port) => port.counts());
  }

  [Symbol.dispose](): void {
    for (const port of this.#bySession.values()) port[Symbol.dispose]();
    this.#bySession.clear();
    this.#byFd.length = 0;
    this.#mac1[Symbol.dispose]();
  }

  /** From a port of chance on, so that nobody knows which is next. */
  #anySocket(): RelaySocket | undefined {
    const { firstPort } = this.#options;
    const count = this.#isTaken.length, start = randomInt(this.#random, count);
    for (let at = 0, tries = 0; at < count && tries < MAX_TRIES; at++) {
      const index = (start + at) % count;
      if (this.#isTaken[index]) continue;
      tries++;
      const socket = this.#socket(firstPort + index);
      if (socket) return socket;
    }
    return undefined;
  }

  #socket(port: number): RelaySocket | undefined {
    try {
      return this.#opener.open(port);
    } catch (cause) {
      if (!(cause instanceof SysError && isExhausted(cause.errno))) throw cause;
      throw new CulvertError("busy", `Cannot relay a session: the system gives no more sockets: ${cause.message}`, {
        cause,
      });
    }
  }

  #placeAt(endpoint: Endpoint | undefined): UdpEndpoint | undefined {
    return endpoint && placeAt(endpoint, this.#options.isV6);
  }

  #mark(port: number, isTaken: boolean): void {
    const index = port - this.#options.firstPort;
    if (index >= 0 && index < this.#isTaken.length) this.#isTaken[index] = isTaken ? 1 : 0;
  }

  #range(): string {
    return `${this.#options.firstPort} to ${this.#options.lastPort}`;
  }
}

function isExhausted(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE || errno === Errno.ENOMEM || errno === Errno.ENOBUFS;
}
