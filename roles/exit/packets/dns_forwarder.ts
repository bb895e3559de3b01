/**
 * The name server that clients have in their tunnel: passes their questions on to the machine's, over UDP and TCP.
 *
 *   client ─▶ gateway:53 ─▶ DnsUpstream ─▶ the answer, as it came; SERVFAIL when there was none in time
 *
 * An answer over UDP that was cut short says so itself, and its client asks again over TCP. Only questions are passed on.
 * What is under way is bounded, for all and for each client; a question beyond that gets no answer, and is asked again. It
 * keeps no answers: the machine's own resolver does.
 */

import { closeQuietly } from "../../../net/close.ts";
import { orAborted } from "../../../protocol/abort.ts";
import { type Clock, deadline, delay } from "../../../protocol/clock.ts";
import { dnsFailure, type DnsQuestion, readDnsQuestion } from "../../../protocol/dns_message.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { formatIp, type IpAddress } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import { closedWith, DnsUpstream, type DnsUpstreamOptions, readDnsMessage, writeDnsMessage } from "./dns_upstream.ts";
import { Places } from "./places.ts";

export interface DnsForwarderOptions extends DnsUpstreamOptions {
  /** Where it listens. */
  readonly addresses: readonly IpAddress[];
  readonly port: number;
  /** Whether there are many clients behind an address. */
  isShared?(host: string): boolean;
  readonly limits?: DnsLimits;
}

export interface DnsLimits {
  /** Questions over UDP under way. */
  readonly maxQuestions?: number;
  readonly maxQuestionsPerClient?: number;
  readonly maxConnections?: number;
  readonly maxConnectionsPerClient?: number;
}

const DEFAULT_LIMITS: Required<DnsLimits> = {
  maxQuestions: 1024,
  maxQuestionsPerClient: 64,
  maxConnections: 128,
  maxConnectionsPerClient: 8,
};
/** RFC 7766 §6.2.3 asks for no more than a few seconds. */
const IDLE_MS = 10_000;
/** After a failure to read. */
const REST_MS = 100;
/** A query is far shorter; what is longer is cut short, and then is none. */
const MAX_UDP_QUERY_BYTES = 4096;

export class DnsForwarder implements AsyncDisposable {
  readonly #upstream: DnsUpstream;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #isShared: (host: string) => boolean;
  readonly #questions: Places;
  readonly #connections: Places;
  readonly #stop = new AbortController();
  readonly #sockets: Deno.DatagramConn[] = [];
  readonly #listeners: Deno.TcpListener[] = [];
  readonly #tasks = new Set<Promise<void>>();

  private constructor(options: DnsForwarderOptions) {
    this.#upstream = new DnsUpstream(options);
    this.#clock = options.clock;
    this.#log = options.log;
    this.#isShared = (host) => options.isShared?.(host) ?? false;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#questions = new Places(limits.maxQuestions, limits.maxQuestionsPerClient);
    this.#connections = new Places(limits.maxConnections, limits.maxConnectionsPerClient);
  }

  /** Throws `in_use` when another program has the port. */
  static async open(options: DnsForwarderOptions): Promise<DnsForwarder> {
    const forwarder = new DnsForwarder(options);
    try {
      for (const address of options.addresses) forwarder.#listen(formatIp(address), options.port);
      return forwarder;
    } catch (error) {
      await forwarder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where it listens, as `host` and port of each address. */
  get listening(): readonly Deno.NetAddr[] {
    return this.#sockets.map(({ addr }) => addr as Deno.NetAddr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new CulvertError("closed", "The name server is stopping"));
    for (const held of [...this.#sockets, ...this.#listeners]) closeQuietly(held);
    await Promise.all(this.#tasks);
  }

  #listen(hostname: string, port: number): void {
    try {
      const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
      this.#sockets.push(socket);
      const listener = Deno.listen({ hostname, port: (socket.addr as Deno.NetAddr).port });
      this.#listeners.push(listener);
      this.#run(this.#serveUdp(socket));
      this.#run(this.#serveTcp(listener));
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      throw new CulvertError(
        "in_use",
        `Cannot look names up for clients: port ${port} of ${hostname} must be free; another name server on this ` +
          "machine must not listen on every address",
        { cause: error },
      );
    }
  }

  #run(task: Promise<void>): void {
    const settled = task.catch((error) => {
      if (!this.#stop.signal.aborted) this.#log.error("The name server failed", { error: messageOf(error) });
    }).finally(() => this.#tasks.delete(settled));
    this.#tasks.add(settled);
  }

  async #serveUdp(socket: Deno.DatagramConn): Promise<void> {
    const { signal } = this.#stop;
    const buffer = new Uint8Array(MAX_UDP_QUERY_BYTES);
    while (!signal.aborted) {
      try {
        const [message, from] = await socket.receive(buffer);
        this.#take(message, (answer) => socket.send(answer, from), (from as Deno.NetAddr).hostname);
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn("A question to the name server could not be read", { error: messageOf(error) });
        await delay(this.#clock, REST_MS, signal).catch(() => {});
      }
    }
  }

  #take(message: Uint8Array, send: (answer: Uint8Array) => Promise<unknown>, client: string): void {
    const question = readDnsQuestion(message);
    const place = question && this.#questions.take(client, this.#isShared(client));
    if (place) this.#run(this.#answer(message.slice(), question, send).finally(() => place[Symbol.dispose]()));
  }

  async #answer(query: Uint8Array, question: DnsQuestion, send: (answer: Uint8Array) => Promise<unknown>) {
    const { signal } = this.#stop;
    try {
      const answer = await this.#upstream.askByUdp(query, question, signal);
      if (!signal.aborted) await send(answer ?? dnsFailure(query, question));
    } catch (error) {
      this.#log.debug("A question could not be answered", { error: messageOf(error) });
    }
  }

  async #serveTcp(listener: Deno.TcpListener): Promise<void> {
    for await (const conn of listener) {
      const { hostname } = conn.remoteAddr;
      const place = this.#connections.take(hostname, this.#isShared(hostname));
      if (place) this.#run(this.#serveConnection(conn, place));
      else conn.close();
    }
  }

  async #serveConnection(conn: Deno.TcpConn, place: Disposable): Promise<void> {
    using _place = place;
    using _conn = closedWith(this.#stop.signal, conn);
    try {
      for (;;) {
        const query = await this.#within("read a question", () => readDnsMessage(conn));
        const question = query && readDnsQuestion(query);
        if (!question) return;
        const answer = await this.#upstream.askByTcp(query, question, this.#stop.signal);
        await this.#within("write an answer", () => writeDnsMessage(conn, answer ?? dnsFailure(query, question)));
      }
    } catch (error) {
      this.#log.debug("A client's connection to the name server broke", { error: messageOf(error) });
    }
  }

  /** Who is silent, or takes no answer, gives up its place. */
  async #within<T>(deed: string, act: () => Promise<T>): Promise<T> {
    using limit = deadline(this.#clock, IDLE_MS, deed, this.#stop.signal);
    return await orAborted(act(), limit.signal);
  }
}
