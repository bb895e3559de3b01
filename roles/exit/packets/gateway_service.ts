/**
 * What an exit answers its clients inside the tunnel, on every gateway address: whether its way out works, and how they
 * might reach each other without a relay.
 *
 * Who asks is known by the address it asks from: WireGuard lets nobody else send from there. What comes from elsewhere, or
 * is no request, is not answered. No answer is longer than what was asked could be, and each goes to who asked alone. What
 * a client asks beyond so much that waits for its answer is dropped, and comes again; probes have room beside offers. So is
 * what waits already: the answer that comes is that of the repeat too.
 */

import { closeQuietly } from "../../../net/close.ts";
import { type Clock, delay } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { formatIp, type IpAddress, parseIp } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import {
  encodeGateway,
  type GatewayAnswer,
  type GatewayMessage,
  type GatewayRequest,
  MAX_GATEWAY_BYTES,
  parseGateway,
} from "../../../protocol/packets/gateway.ts";
import type { PunchAnswer, PunchOffer } from "../../../protocol/packets/punch_offer.ts";
import type { ClientPeer } from "./client_table.ts";
import { Places } from "./places.ts";

/** How an offer to do without the relay is answered; absent, none is. */
export interface Punching {
  answer(offer: PunchOffer, client: Pick<ClientPeer, "key" | "relayAt">): Promise<PunchAnswer>;
}

export interface GatewayServiceOptions {
  readonly addresses: readonly IpAddress[];
  readonly port: number;
  clientAt(address: IpAddress): ClientPeer | undefined;
  /** Whether the exit's own way out works. */
  isOk(): boolean;
  readonly punching?: Punching | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** After a failure to read. */
const REST_MS = 100;
/** In all, and of each client: they repeat what is not answered at once. */
const MAX_WAITING = { "probe": [512, 16], "punch.offer": [256, 8] } as const;

export class GatewayService implements AsyncDisposable {
  readonly #options: GatewayServiceOptions;
  readonly #stop = new AbortController();
  readonly #sockets: Deno.DatagramConn[] = [];
  readonly #tasks: Promise<void>[] = [];
  /** By what is asked, and who asks it. */
  readonly #waiting = new Map<string, Promise<void>>();
  readonly #places = {
    "probe": new Places(...MAX_WAITING.probe),
    "punch.offer": new Places(...MAX_WAITING["punch.offer"]),
  };

  private constructor(options: GatewayServiceOptions) {
    this.#options = options;
  }

  /** Throws when the port is not free. */
  static open(options: GatewayServiceOptions): GatewayService {
    const service = new GatewayService(options);
    try {
      for (const address of options.addresses) service.#listen(formatIp(address), options.port);
      return service;
    } catch (error) {
      service.#close();
      throw error;
    }
  }

  get listening(): readonly Deno.NetAddr[] {
    return this.#sockets.map(({ addr }) => addr as Deno.NetAddr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await Promise.all([...this.#tasks, ...this.#waiting.values()]);
  }

  #close(): void {
    this.#stop.abort(new CulvertError("closed", "The gateway is stopping"));
    for (const socket of this.#sockets) closeQuietly(socket);
  }

  #listen(hostname: string, port: number): void {
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.#sockets.push(socket);
    this.#tasks.push(this.#serve(socket));
  }

  async #serve(socket: Deno.DatagramConn): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stop;
    const buffer = new Uint8Array(MAX_GATEWAY_BYTES + 1);
    while (!signal.aborted) {
      try {
        const [bytes, from] = await socket.receive(buffer);
        this.#hear(parseGateway(bytes), from as Deno.NetAddr, async (answer) => {
          if (!signal.aborted) await socket.send(encodeGateway(answer), from);
        });
      } catch (error) {
        if (signal.aborted) return;
        log.debug("A client could not be heard", { error: messageOf(error) });
        await delay(clock, REST_MS, signal).catch(() => {});
      }
    }
  }

  #hear(
    message: GatewayMessage | undefined,
    { hostname, port }: Deno.NetAddr,
    send: (answer: GatewayAnswer) => Promise<void>,
  ): void {
    const address = parseIp(hostname);
    const client = address && this.#options.clientAt(address);
    if (!client || (message?.type !== "probe" && message?.type !== "punch.offer")) return;
    const name = `${message.type} ${message.id} ${hostname} ${port}`;
    if (this.#waiting.has(name)) return;
    const place = this.#places[message.type].take(hostname);
    if (!place) return;
    const waiting = this.#answer(message, client, send).finally(() => {
      this.#waiting.delete(name);
      place[Symbol.dispose]();
    });
    this.#waiting.set(name, waiting);
  }

  async #answer(
    message: GatewayRequest,
    client: ClientPeer,
    send: (answer: GatewayAnswer) => Promise<void>,
  ): Promise<void> {
    try {
      const answer = await this.#answerTo(message, client);
      if (answer) await send(answer);
    } catch (error) {
      this.#options.log.debug("A client could not be answered", { error: messageOf(error) });
    }
  }

  #answerTo(message: GatewayRequest, client: ClientPeer): Promise<GatewayAnswer> | GatewayAnswer | undefined {
    const { isOk, punching } = this.#options;
    switch (message.type) {
      case "probe":
        return { type: "probe.answer", id: message.id, ok: isOk() };
      case "punch.offer":
        return punching?.answer(message, client);
    }
  }
}
