/**
 * Questions to the exit's gateway through the tunnel, as JSON datagrams (`protocol/packets/gateway.ts`).
 *
 *   ask ── at 0, 100, 300, 700, 1500 ms … until answered ──→ gateway
 *       ←── the answer with its id, whichever sending it answers ──
 *
 * The socket is looked at every few milliseconds while something is asked, and not at all otherwise: that spares a thread
 * that would wait for it.
 */

import { type Clock, deadline, type Timer } from "../../../protocol/clock.ts";
import { DialError } from "../../../protocol/errors.ts";
import {
  type AnswerTo,
  encodeGateway,
  GATEWAY_PORT,
  type GatewayAnswer,
  type GatewayRequest,
  parseGateway,
} from "../../../protocol/packets/gateway.ts";
import { equalIp, type IpAddress } from "../../../protocol/ip.ts";
import type { Endpoint } from "../../../protocol/wireguard/settings.ts";

export interface AskOptions {
  readonly signal: AbortSignal;
  readonly withinMs: number;
}

export interface AskGateway {
  /** Rejects with `timeout` when nothing has come in time, with the signal's reason when that comes first. */
  ask<R extends GatewayRequest>(request: R, options: AskOptions): Promise<AnswerTo<R>>;
}

/** What the datagrams go through; `native/tunnel_socket.ts` is one. */
export interface GatewaySocket extends Disposable {
  send(bytes: Uint8Array, to: Endpoint): boolean;
  receive(): { readonly bytes: Uint8Array; readonly from: Endpoint } | undefined;
}

export interface GatewayClientOptions {
  readonly socket: GatewaySocket;
  readonly gateway: IpAddress;
  readonly clock: Clock;
}

const LOOK_MS = 5;
const RESEND_MS = 100;
const MAX_RESEND_MS = 800;
/** Datagrams read at one look: more than any gateway has to say. */
const READ_AT_ONCE = 64;
const MAX_WAITING = 32;

interface Waiting {
  readonly type: GatewayRequest["type"];
  resolve(answer: GatewayAnswer): void;
}

export class GatewayClient implements AskGateway, Disposable {
  readonly #options: GatewayClientOptions;
  readonly #to: Endpoint;
  readonly #waiting = new Map<string, Waiting>();
  readonly #stop = new AbortController();
  #timer: Timer | undefined;

  /** The socket becomes this one's to close. */
  constructor(options: GatewayClientOptions) {
    this.#options = options;
    this.#to = { address: options.gateway, port: GATEWAY_PORT };
  }

  async ask<R extends GatewayRequest>(request: R, { signal, withinMs }: AskOptions): Promise<AnswerTo<R>> {
    this.#stop.signal.throwIfAborted();
    if (this.#waiting.size >= MAX_WAITING) throw new DialError("busy", "Cannot ask the gateway: it owes many answers");
    const { clock } = this.#options;
    using limit = deadline(clock, withinMs, "ask the gateway", AbortSignal.any([signal, this.#stop.signal]));
    const { promise, resolve, reject } = Promise.withResolvers<GatewayAnswer>();
    limit.signal.addEventListener("abort", () => reject(limit.signal.reason), { once: true });
    if (limit.signal.aborted) reject(limit.signal.reason);
    this.#waiting.set(request.id, { type: request.type, resolve });
    using sending = this.#sendUntilDisposed(encodeGateway(request));
    this.#look();
    try {
      return await promise as AnswerTo<R>;
    } finally {
      sending[Symbol.dispose]();
      this.#waiting.delete(request.id);
    }
  }

  [Symbol.dispose](): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new DialError("path_down", "Cannot ask the gateway: the tunnel is closed"));
    this.#timer?.cancel();
    this.#options.socket[Symbol.dispose]();
  }

  /** What cannot be sent at present is sent the next time. */
  #sendUntilDisposed(bytes: Uint8Array): Disposable {
    const { clock, socket } = this.#options;
    let timer: Timer | undefined;
    let waitMs = RESEND_MS;
    const send = () => {
      socket.send(bytes, this.#to);
      timer = clock.after(waitMs, send);
      waitMs = Math.min(2 * waitMs, MAX_RESEND_MS);
    };
    send();
    return { [Symbol.dispose]: () => timer?.cancel() };
  }

  #look(): void {
    this.#timer?.cancel();
    if (this.#stop.signal.aborted) return;
    const { socket, gateway, clock } = this.#options;
    for (let count = 0; count < READ_AT_ONCE; count++) {
      const datagram = socket.receive();
      if (!datagram) break;
      if (equalIp(datagram.from.address, gateway)) this.#hear(datagram.bytes);
    }
    if (this.#waiting.size > 0) this.#timer = clock.after(LOOK_MS, () => this.#look());
  }

  /** `probe` is answered by `probe.answer`, `punch.offer` by `punch.answer`. */
  #hear(bytes: Uint8Array): void {
    const message = parseGateway(bytes);
    const waiting = message && this.#waiting.get(message.id);
    if (waiting && message.type === `${waiting.type.split(".")[0]}.answer`) {
      this.#waiting.delete(message.id);
      waiting.resolve(message as GatewayAnswer);
    }
  }
}
