/**
 * A port of a file server. Files are sent from here, by a loop of reads and writes; a connection that asks for anything else is
 * joined to a port of `Deno.serve`, for good.
 *
 *   connection ─▶ head ─┬─ GET, HEAD of /content, /download ─▶ handleFile ─▶ head and bytes ─▶ the next head
 *                       └─ whatever else ─▶ 127.0.0.1, Deno.serve ─▶ handle
 *
 * Why: through `Deno.serve` a large file takes twice the work, since every piece goes through a stream and a buffer of its own.
 * Programs of this machine come here, and the streams of guests end here too, each guest's at a port of its own. Connections may
 * be idle as long as they like.
 */

import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { type RequestHead, tokensOf, valuesOf } from "../../protocol/http_head.ts";
import { writeAll } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import { answerHead } from "../http_messages.ts";
import { HttpRequestReader } from "../http_request_reader.ts";
import type { PeerGuest } from "../peers/peer_connection.ts";
import { splice } from "../splice.ts";
import { FileAnswer } from "./file_answer.ts";
import type { FileServer } from "./file_server.ts";
import type { AskedHead } from "./routes.ts";
import { WholeAnswer } from "./small_files.ts";

export interface FilePortOptions {
  readonly server: Pick<FileServer, "clock" | "pool" | "date" | "handle" | "handleFile">;
  readonly guest?: PeerGuest | undefined;
  readonly port: number;
  /** As the page of a browser and a few programs need; more wait to be accepted. Default 1,024. */
  readonly maxConnections?: number | undefined;
}

/** While all buffers are out. */
const SMALL_BUFFER_BYTES = 64 * 1024;
const DEFAULT_MAX_CONNECTIONS = 1024;
const ACCEPT_PAUSE_MS = 50;
const FILE_PATH = /^\/(?:content|download)(?:[/?]|$)/;
const MORE = /^(?:content-length|transfer-encoding|upgrade|expect)$/i;
const CONDITIONS = /^(?:range|if-.*)$/i;
const encoder = new TextEncoder();
/** While the port of `Deno.serve` cannot be reached. */
const BUSY = encoder.encode(
  "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
);

export class FilePort implements AsyncDisposable {
  readonly #options: FilePortOptions;
  readonly #listener: Deno.TcpListener;
  readonly #others: Deno.HttpServer<Deno.NetAddr>;
  readonly #open = new Map<Deno.TcpConn, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #accepting: Promise<void>;
  /** A connection has ended, and it is waited for that. */
  #onEnd: (() => void) | undefined;
  #isClosed = false;

  /** Throws when the port cannot be had. */
  constructor(options: FilePortOptions) {
    const { server, guest, port } = options;
    this.#options = options;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
    try {
      this.#others = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen() {}, signal: this.#stop.signal, onError: brokenOff },
        (request) => server.handle(request, guest),
      );
    } catch (error) {
      closeQuietly(this.#listener);
      throw error;
    }
    this.#accepting = this.#acceptAll();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Cuts off whatever goes through it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(new CulvertError("closed", "The port is closed"));
    for (const conn of this.#open.keys()) closeQuietly(conn);
    this.#isClosed = true;
    closeQuietly(this.#listener);
    await this.#accepting;
    await Promise.all([...this.#open.values(), this.#others.finished]);
  }

  async #acceptAll(): Promise<void> {
    const { server, maxConnections = DEFAULT_MAX_CONNECTIONS } = this.#options;
    while (!this.#isClosed) {
      try {
        const conn = await this.#listener.accept();
        if (this.#isClosed) return closeQuietly(conn);
        this.#open.set(conn, this.#serve(conn).finally(() => this.#ended(conn)));
        if (this.#open.size >= maxConnections) await new Promise<void>((resolve) => this.#onEnd = resolve);
      } catch (error) {
        if (this.#isClosed || error instanceof Deno.errors.BadResource) return;
        // That one connection was over before it was accepted, or there are no more files to open for now.
        await delay(server.clock, ACCEPT_PAUSE_MS);
      }
    }
  }

  #ended(conn: Deno.TcpConn): void {
    this.#open.delete(conn);
    this.#onEnd?.();
    this.#onEnd = undefined;
  }

  /** Never rejects. */
  async #serve(conn: Deno.TcpConn): Promise<void> {
    try {
      conn.setNoDelay(true);
      const reader = new HttpRequestReader(conn);
      for (let isKept = true; isKept && !this.#isClosed;) {
        const head = await reader.head();
        if (head === undefined) return;
        const asked = typeof head === "string" ? undefined : fileAsked(head);
        if (!asked) return await this.#handOver(conn, reader.unused({ withHead: typeof head !== "string" }));
        isKept = !tokensOf((head as RequestHead).fields, "connection").includes("close");
        const answer = await this.#options.server.handleFile(asked, this.#options.guest);
        await this.#send(conn, answer, { isHead: asked.method === "HEAD", isKept: isKept && !this.#isClosed });
      }
    } catch {
      // It was reset, or an answer broke off, which has been counted.
    } finally {
      closeQuietly(conn);
    }
  }

  async #handOver(conn: Deno.TcpConn, read: Uint8Array<ArrayBuffer>): Promise<void> {
    const { port } = this.#others.addr;
    const other = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    if (!other) return await writeAll(conn, BUSY);
    other.setNoDelay(true);
    await splice(conn, other, { pool: this.#options.server.pool, signal: this.#stop.signal, fromA: read.slice() });
  }

  async #send(
    conn: Deno.TcpConn,
    answer: Response,
    { isHead, isKept }: { readonly isHead: boolean; readonly isKept: boolean },
  ): Promise<void> {
    if (answer instanceof WholeAnswer) return await writeAll(conn, isKept ? answer.wire : answer.lastWire);
    if (answer instanceof FileAnswer) return await this.#sendFile(conn, answer, isKept);
    const content = isHead || answer.status === 304 ? undefined : new Uint8Array(await answer.arrayBuffer());
    const said = answer.headers.get("content-length");
    const length = content?.length ?? (said === null ? undefined : Number(said));
    const { date: { text: date } } = this.#options.server;
    const head = encoder.encode(answerHead(answer, { isKept, date, ...length !== undefined && { length } }));
    await writeAll(conn, content ? joined(head, content) : head);
  }

  async #sendFile(conn: Deno.TcpConn, answer: FileAnswer, isKept: boolean): Promise<void> {
    const { file } = answer;
    const { pool, date } = this.#options.server;
    const length = Number(answer.headers.get("content-length"));
    const buffer = pool.take();
    try {
      await writeAll(conn, encoder.encode(answerHead(answer, { isKept, length, date: date.text })));
      await file.sendTo(conn, buffer ?? new Uint8Array(SMALL_BUFFER_BYTES));
    } catch (error) {
      file.fail("whoever asked has gone");
      throw error;
    } finally {
      if (buffer) pool.give(buffer);
    }
  }
}

/** Bodies that broke off have been counted: all that `Deno.serve` would do is to print them. */
export function brokenOff(): Response {
  return new Response(null, { status: 500 });
}

/** Undefined for what is no plain request for a file. */
function fileAsked({ method, target, minor, fields }: RequestHead): AskedHead | undefined {
  if (method !== "GET" && method !== "HEAD" || minor !== 1 || !FILE_PATH.test(target)) return undefined;
  const get = (name: string) => {
    const values = valuesOf(fields, name.toLowerCase());
    return values.length === 0 ? null : values.join(", ");
  };
  const host = get("host");
  // With a body, or a wish to speak another protocol, it is more than that; and a host there has to be.
  if (host === null || fields.some(({ name }) => MORE.test(name))) return undefined;
  const isPlain = method === "GET" && !fields.some(({ name }) => CONDITIONS.test(name));
  return { method, url: `http://${host}${target}`, headers: { get }, isPlain };
}

function joined(head: Uint8Array, content: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + content.length);
  whole.set(head);
  whole.set(content, head.length);
  return whole;
}
