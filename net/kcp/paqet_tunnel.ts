/**
 * One of the tunnels of a paqet client: smux over KCP over a carrier of its own, from another port each time it is made
 * anew, so that a server that still holds the last one does not mistake it.
 *
 *   made → flags (which TCP flags the server's packets take turns with) → ping → pong: the server is there and has the key
 *
 * paqet says nothing of itself when a stream is opened, so a tunnel is asked by a ping before it is used, unless it was
 * heard lately; one that does not answer is given up, and a new one is asked. What is told to nobody can be told apart by
 * nobody: silence is a wrong key, a blocked port or an absent server.
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import { LinkKeeper, type LinkKeeperOptions } from "../link_keeper.ts";
import type { MuxConnection, MuxStream } from "../mux.ts";
import { HeardLink } from "./heard_link.ts";
import { readPaqetHeader, writePaqetHeader } from "./paqet_header.ts";

export interface PaqetTunnelOptions extends LinkKeeperOptions {
  /** What the server is told to use; none: what it was set to. */
  readonly serverFlags: readonly number[];
  /** How long all of a dial's asking may take. */
  readonly answerTimeoutMs: number;
  /** A tunnel that was heard so lately is used without asking. */
  readonly freshMs: number;
}

/** Of the time for an answer, what one that was there before gets; the rest is for its successor. */
const FIRST_TRY = 0.4;

export class PaqetTunnel {
  readonly keeper: LinkKeeper;
  readonly #options: PaqetTunnelOptions;
  readonly #clock: Clock;
  /** Those that have answered once. */
  readonly #greeted = new WeakSet<MuxConnection>();
  /** One asking serves all who wait. */
  #asking: { readonly connection: MuxConnection; readonly answer: Promise<boolean> } | undefined;

  constructor(options: PaqetTunnelOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.keeper = new LinkKeeper({
      ...options,
      connect: async (signal) => new HeardLink(await options.connect(signal), options.clock),
    });
  }

  get streamCount(): number {
    return this.keeper.connection?.streamCount ?? 0;
  }

  /** A stream whose server is known to be there. Rejects with a DialError. */
  async open(signal?: AbortSignal): Promise<MuxStream> {
    const { answerTimeoutMs } = this.#options;
    const first = await this.#connection(signal);
    const wasThere = this.#greeted.has(first);
    if (await this.#answers(first, wasThere ? answerTimeoutMs * FIRST_TRY : answerTimeoutMs, signal)) {
      return open(first);
    }
    if (wasThere) {
      const second = await this.#connection(signal);
      if (await this.#answers(second, answerTimeoutMs * (1 - FIRST_TRY), signal)) return open(second);
    }
    throw new DialError("path_down", this.#silence());
  }

  close(): void {
    this.keeper.close();
  }

  async #connection(signal?: AbortSignal): Promise<MuxConnection> {
    const { connection } = this.keeper;
    if (connection && !connection.closed) return connection;
    try {
      return await orAborted(this.keeper.attempt(), signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw new DialError("path_down", messageOf(error), { cause: error });
    }
  }

  async #answers(connection: MuxConnection, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const { heardMs } = connection.link as HeardLink;
    if (this.#greeted.has(connection) && this.#clock.now() - heardMs <= this.#options.freshMs) return true;
    if (this.#asking?.connection !== connection) {
      const answer = this.#ask(connection, timeoutMs).finally(() => {
        if (this.#asking?.connection === connection) this.#asking = undefined;
      });
      this.#asking = { connection, answer };
    }
    return await orAborted(this.#asking.answer, signal);
  }

  /** Never rejects. One that does not answer is closed. */
  async #ask(connection: MuxConnection, timeoutMs: number): Promise<boolean> {
    using limit = deadline(this.#clock, timeoutMs, "hear the server");
    try {
      await orAborted(this.#greet(connection), limit.signal);
      this.#greeted.add(connection);
      return true;
    } catch {
      connection.close();
      return false;
    }
  }

  async #greet(connection: MuxConnection): Promise<void> {
    const { serverFlags } = this.#options;
    if (!this.#greeted.has(connection) && serverFlags.length > 0) {
      using stream = connection.open();
      await writePaqetHeader(stream, { kind: "flags", flags: serverFlags });
    }
    using stream = connection.open();
    await writePaqetHeader(stream, { kind: "ping" });
    const { kind } = await readPaqetHeader(stream);
    if (kind !== "pong") throw new DialError("path_down", "The server answers a ping with something else");
  }

  #silence(): string {
    return `Nothing genuine has come from ${this.#options.farEnd}: no paqet server is there, its packets are blocked on ` +
      "the way or by its own kernel, or its key or block is not ours; paqet answers none of them";
  }
}

function open(connection: MuxConnection): MuxStream {
  try {
    return connection.open();
  } catch (error) {
    if (error instanceof DialError) throw error;
    throw new DialError("path_down", messageOf(error), { cause: error });
  }
}
