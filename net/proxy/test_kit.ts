/** What the proxy's tests share: a Path straight to the network, a proxy on a free port, and clients that script bytes. */

import { clockOf } from "../../protocol/clock.ts";
import { DialError, type DialFailure } from "../../protocol/errors.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../../protocol/stream.ts";
import { writeAll } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import { type ProxyOptions, type ProxyServer, serveProxy } from "../proxy.ts";

/** Dials with `Deno.connect`. Names ending in ".test" lead to 127.0.0.1; those in ".fail" fail as their first label says. */
export class LoopbackPath implements Path {
  readonly dialled: Target[] = [];
  readonly trails: DialOptions["trail"][] = [];

  async dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    this.dialled.push(target);
    this.trails.push(options.trail);
    const [label, top] = [target.host.split(".")[0]!, target.host.split(".").at(-1)];
    if (top === "fail") throw new DialError(label as DialFailure, "as the test wants");
    if (top === "never") return await rejectedWhenAborted(options.signal!);
    const hostname = top === "test" || top === "culvert" ? "127.0.0.1" : target.host;
    try {
      return await Deno.connect({ hostname, port: target.port });
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) throw new DialError("refused", "nobody listens there");
      throw error;
    }
  }

  datagrams(): Promise<Datagrams> {
    return Promise.resolve(new LoopbackDatagrams());
  }

  close(): void {}

  [Symbol.dispose](): void {}
}

function rejectedWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

class LoopbackDatagrams implements Datagrams {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    const hostname = to.host.endsWith(".test") ? "127.0.0.1" : to.host;
    await this.#socket.send(datagram, { transport: "udp", hostname, port: to.port });
  }

  async receive(into: Uint8Array): Promise<{ length: number; from: Target } | null> {
    try {
      const [datagram, from] = await this.#socket.receive(into as Uint8Array<ArrayBuffer>);
      const { hostname: host, port } = from as Deno.NetAddr;
      return { length: datagram.length, from: { host, port } };
    } catch {
      return null;
    }
  }

  close(): void {
    closeQuietly(this.#socket);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A proxy on a free loopback port that is closed, completely, at the end of the block. */
export class TestProxy implements AsyncDisposable {
  readonly path: Path;
  readonly server: ProxyServer;

  constructor(options: Partial<ProxyOptions> = {}) {
    this.path = options.path ?? new LoopbackPath();
    this.server = serveProxy({
      listen: { hostname: "127.0.0.1", port: 0 },
      clock: clockOf(globalThis),
      ...options,
      path: this.path,
    });
  }

  get port(): number {
    return this.server.address.port;
  }

  async connect(): Promise<Script> {
    return new Script(await Deno.connect({ hostname: "127.0.0.1", port: this.port }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server[Symbol.dispose]();
    await this.server.closed;
  }
}

/** One side of a conversation, as a script of what to send and what to expect. */
export class Script implements Disposable {
  readonly conn: Deno.TcpConn;
  #buffer = new Uint8Array(65536);
  #length = 0;

  constructor(conn: Deno.TcpConn) {
    this.conn = conn;
  }

  /** Strings are sent one byte per character. */
  async send(data: string | Uint8Array): Promise<void> {
    await writeAll(this.conn, typeof data === "string" ? bytesOf(data) : data);
  }

  /** Exactly so many bytes; rejects if the stream ends first. */
  async take(count: number): Promise<Uint8Array> {
    while (this.#length < count) {
      if (!await this.#more()) throw new Error(`The stream ended after ${this.#length} of ${count} bytes`);
    }
    const taken = this.#buffer.slice(0, count);
    this.#buffer.copyWithin(0, count, this.#length);
    this.#length -= count;
    return taken;
  }

  /** Everything up to and including `mark`. */
  async until(mark: string): Promise<string> {
    for (;;) {
      const text = textOf(this.#buffer.subarray(0, this.#length));
      const at = text.indexOf(mark);
      if (at >= 0) return textOf(await this.take(at + mark.length));
      if (!await this.#more()) throw new Error(`The stream ended before ${JSON.stringify(mark)}: ${text}`);
    }
  }

  /** Everything until the other side ends its half, or resets. */
  async rest(): Promise<string> {
    try {
      while (await this.#more());
    } catch {
      // A reset is an end too.
    }
    return textOf(await this.take(this.#length));
  }

  /** Reads to the end and forgets it. */
  async drain(): Promise<void> {
    while (await this.conn.read(this.#buffer).catch(() => null) !== null);
  }

  close(): void {
    closeQuietly(this.conn);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #more(): Promise<boolean> {
    if (this.#length === this.#buffer.length) {
      const grown = new Uint8Array(this.#length * 2);
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
    const count = await this.conn.read(this.#buffer.subarray(this.#length));
    this.#length += count ?? 0;
    return count !== null;
  }
}

/** A server whose connections the test plays itself. */
export class TestServer implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #accepted: Script[] = [];

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async accept(): Promise<Script> {
    const script = new Script(await this.#listener.accept());
    this.#accepted.push(script);
    return script;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const script of this.#accepted) script.close();
  }
}

/** A UDP socket on loopback. */
export class TestDatagrams implements Disposable {
  readonly socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });

  get port(): number {
    return (this.socket.addr as Deno.NetAddr).port;
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function textOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
