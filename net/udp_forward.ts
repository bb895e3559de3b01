/**
 * A forwarded UDP port: what programs send to it goes to one target at the far end of a Path, and the answers come back.
 *
 *   program (one of many) → our socket → its own Path.datagrams → target        and back
 *
 * Each program, told apart by its address and port, has datagrams of its own, so that answers find their way; they end
 * after a silence. There are at most `maxFlows`: a new one ends that which has been silent longest. While datagrams are
 * opened for a program a few of its own wait, and more are lost. What it does not do: look at where answers come from
 * beyond what the far end does.
 */

import type { Clock } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Datagrams, Path, Target } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { Deadlines } from "./deadlines.ts";
import { type DatagramSocket, listenDatagrams, type NetAddr } from "./runtime.ts";

/** What a forwarded UDP port is made of. */
export interface UdpForwardOptions {
  /** Where programs send to. */
  readonly listen: { readonly hostname: string; readonly port: number };
  /** Where their datagrams lead. */
  readonly target: Target;
  /** Must carry datagrams. Not closed with the forward. */
  readonly path: Path;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where it writes what happens. */
  readonly log: Log;
  /** A program's silence, and that of its target, of this length ends what it has open. Default 60 s. */
  readonly idleTimeoutMs?: number;
  /** Programs at once. Default 256. */
  readonly maxFlows?: number;
}

const MAX_DATAGRAM_BYTES = 65_535;
/** What a program may send before its datagrams are open. */
const MAX_WAITING = 16;

interface Flow {
  readonly from: NetAddr;
  readonly key: string;
  readonly opening: AbortController;
  waiting: Uint8Array[];
  datagrams: Datagrams | undefined;
}

/** A forwarded UDP port that is open. */
export class UdpForward implements Disposable {
  /** Where it listens. */
  readonly address: NetAddr;
  /** Settles when nothing of it runs any more. */
  readonly closed: Promise<void>;
  readonly #options: UdpForwardOptions;
  readonly #socket: DatagramSocket;
  readonly #flows = new Map<string, Flow>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #idle: Deadlines<Flow>;
  #isClosed = false;

  /** Listens at once; throws when the port is taken, and `unsupported` in Node. */
  constructor(options: UdpForwardOptions) {
    this.#options = options;
    this.#socket = listenDatagrams(options.listen);
    this.address = this.#socket.addr;
    this.#idle = new Deadlines(options.clock, options.idleTimeoutMs ?? 60_000, (flow) => this.#end(flow));
    this.closed = this.#receive();
  }

  /** Programs with something open. */
  get flowCount(): number {
    return this.#flows.size;
  }

  /** Closes it, and what is open through it. May be repeated. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeQuietly(this.#socket);
    for (const flow of [...this.#flows.values()]) this.#end(flow);
    this.#idle[Symbol.dispose]();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(MAX_DATAGRAM_BYTES);
    while (!this.#isClosed) {
      try {
        const [datagram, from] = await this.#socket.receive(buffer);
        await this.#forward(datagram, from);
      } catch (error) {
        if (!this.#isClosed) this.#options.log.debug("A forwarded datagram was lost", { error: messageOf(error) });
      }
    }
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #forward(datagram: Uint8Array, from: NetAddr): Promise<void> {
    const flow = this.#flows.get(`${from.hostname} ${from.port}`) ?? this.#begin(from);
    this.#idle.add(flow);
    if (flow.datagrams) await flow.datagrams.send(datagram, this.#options.target);
    else if (flow.waiting.length < MAX_WAITING) flow.waiting.push(datagram.slice());
  }

  #begin(from: NetAddr): Flow {
    if (this.#flows.size >= (this.#options.maxFlows ?? 256)) {
      for (const longestSilent of this.#idle) {
        this.#end(longestSilent);
        break;
      }
    }
    const key = `${from.hostname} ${from.port}`;
    const flow: Flow = { from, key, opening: new AbortController(), waiting: [], datagrams: undefined };
    this.#flows.set(key, flow);
    const task = this.#carry(flow).catch((error) => {
      if (!flow.opening.signal.aborted) {
        this.#options.log.debug("Forwarded datagrams ended", { error: messageOf(error) });
      }
    }).finally(() => {
      this.#end(flow);
      this.#tasks.delete(task);
    });
    this.#tasks.add(task);
    return flow;
  }

  /** Opens datagrams for the program, sends what has waited, and gives it what comes back. */
  async #carry(flow: Flow): Promise<void> {
    const { path, target } = this.#options;
    using datagrams = await path.datagrams!({ signal: flow.opening.signal });
    if (flow.opening.signal.aborted) return;
    flow.datagrams = datagrams;
    const { waiting } = flow;
    flow.waiting = [];
    for (const datagram of waiting) await datagrams.send(datagram, target);
    const buffer = new Uint8Array(MAX_DATAGRAM_BYTES);
    for (let got = await datagrams.receive(buffer); got !== null; got = await datagrams.receive(buffer)) {
      this.#idle.add(flow);
      await this.#socket.send(buffer.subarray(0, got.length), flow.from).catch((error) => {
        // The program's port may be shut for a moment.
        if (this.#isClosed) throw error;
      });
    }
  }

  #end(flow: Flow): void {
    if (this.#flows.get(flow.key) !== flow) return;
    this.#flows.delete(flow.key);
    this.#idle.delete(flow);
    flow.opening.abort();
    flow.datagrams?.close();
  }
}
