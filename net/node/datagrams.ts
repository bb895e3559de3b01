/**
 * UDP of Node, as `../runtime.ts` has it of Deno.
 *
 * Node hands datagrams over as they come, whether or not anybody asks: a few hundred wait here, and more are lost, as the
 * system loses them when its own buffer is full.
 */

import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { CulvertError } from "../../protocol/errors.ts";
import type { DatagramSocket, ListenAt, NetAddr } from "../runtime_types.ts";
import { ClosedHandleError } from "./node_socket.ts";

const MAX_WAITING = 256;

interface Arrived {
  readonly bytes: Uint8Array;
  readonly from: NetAddr;
}

/** There is none: a socket is bound a moment later, and whoever asks for this one asks for its address too. */
export function listenDatagrams(_at: ListenAt): DatagramSocket {
  throw new CulvertError("unsupported", "Cannot listen for datagrams at once on Node: run this side in Deno");
}

/** Is bound a moment later; what is sent before waits for that. */
export function datagramSocket(at: ListenAt): DatagramSocket {
  return new NodeDatagrams(at);
}

/** Rejects when the port is taken. */
export async function openDatagramSocket(at: ListenAt): Promise<DatagramSocket> {
  const socket = new NodeDatagrams(at);
  await socket.bound;
  return socket;
}

export class NodeDatagrams implements DatagramSocket {
  /** Settles when the system has given it its port. */
  readonly bound: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting: Arrived[] = [];
  #failure: unknown;
  /** The socket is: by us, or because it could not be bound. */
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor({ hostname, port }: ListenAt) {
    const socket = this.#socket = createSocket(isIPv6(hostname) ? "udp6" : "udp4");
    let isBound = false;
    this.bound = new Promise((resolve, reject) => {
      socket.on("error", (error) => {
        this.#failure ??= error;
        reject(error);
        if (!isBound) this.#closeSocket();
        this.#wake?.();
      });
      socket.on("close", () => reject(new ClosedHandleError()));
      socket.bind({ address: hostname, port }, () => {
        isBound = true;
        resolve();
      });
    });
    this.bound.catch(() => {});
    socket.on("message", (bytes, { address, port }) => {
      if (this.#waiting.length >= MAX_WAITING) return;
      this.#waiting.push({ bytes, from: { transport: "udp", hostname: address, port } });
      this.#wake?.();
    });
  }

  /** The socket beneath. */
  get socket(): Socket {
    return this.#socket;
  }

  get addr(): NetAddr {
    const { address: hostname, port } = this.#socket.address();
    return { transport: "udp", hostname, port };
  }

  async send(datagram: Uint8Array, { hostname, port }: NetAddr): Promise<number> {
    await this.bound;
    return await new Promise((resolve, reject) => {
      this.#socket.send(datagram, port, hostname, (error, count) => error ? reject(error) : resolve(count));
    });
  }

  async receive(into: Uint8Array): Promise<[Uint8Array, NetAddr]> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#takeFailure();
      const next = this.#waiting.shift();
      if (next) {
        const count = Math.min(next.bytes.length, into.length);
        into.set(next.bytes.subarray(0, count));
        return [into.subarray(0, count), next.from];
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  close(): void {
    if (this.#failure instanceof ClosedHandleError) return;
    this.#failure = new ClosedHandleError();
    this.#closeSocket();
    this.#wake?.();
  }

  #closeSocket(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }

  /** Being closed lasts; anything else is told once. */
  #takeFailure(): unknown {
    const failure = this.#failure;
    if (!this.#isClosed) this.#failure = undefined;
    return failure;
  }
}
