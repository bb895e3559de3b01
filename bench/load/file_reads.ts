/**
 * Files over HTTP/1.1, from whatever server: one large one, whole or in ranges; many small ones; how soon the first byte comes.
 * And our own server of a folder, as a process of its own.
 */

import { openDoor } from "../../net/files/doors.ts";
import { serveFiles } from "../../net/files/file_server.ts";
import { clockOf } from "../../protocol/clock.ts";
import { randomOf } from "../../protocol/random.ts";
import { writeAll } from "../../protocol/stream.ts";

const BUFFER_BYTES = 1024 * 1024;
const MAX_HEAD_BYTES = 8 * 1024;
const LINE_END = 10;

/** Serves a folder, until the end. */
export async function serveFolder(folder: string, print: (line: object) => void, end: Promise<void>): Promise<void> {
  const self = { peerId: "a".repeat(26), label: "bench", version: "0", capabilities: ["files"] };
  const [clock, random] = [clockOf(globalThis), randomOf(crypto)];
  await using server = serveFiles({ folder, self, makesFolderPage: false, clock, random });
  await using door = openDoor(server);
  print({ ready: true, origin: door.origin });
  await end;
}

export interface LargeReads {
  readonly url: string;
  /** In ranges of so many bytes; whole when it is 0. */
  readonly rangeBytes: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

/** Reads it over and over on one connection. */
export async function readLarge({ url, rangeBytes, warmMs, measureMs }: LargeReads): Promise<{ gbPerS: number }> {
  const clock = clockOf(globalThis);
  using files = await FileConnection.open(url);
  const size = await files.head(url);
  const startMs = clock.now() + warmMs;
  let [counted, countedFromMs, at] = [0, 0, 0];
  for (;;) {
    const nowMs = clock.now();
    if (nowMs >= startMs && countedFromMs === 0) [counted, countedFromMs] = [0, nowMs];
    // However slow it is, it is read once.
    if (nowMs >= startMs + measureMs && counted > 0) return { gbPerS: counted / (nowMs - countedFromMs) / 1e6 };
    const end = Math.min(at + rangeBytes, size);
    const bytes = await files.get(url, rangeBytes === 0 ? "" : `Range: bytes=${at}-${end - 1}\r\n`);
    if (bytes !== (rangeBytes === 0 ? size : end - at)) throw new Error(`Cannot measure: ${bytes} bytes came`);
    counted += bytes;
    at = end === size ? 0 : end;
  }
}

/** Reads it once, and gives how many bytes that were. */
export async function readOnce(url: string): Promise<{ bytes: number }> {
  using files = await FileConnection.open(url);
  return { bytes: await files.get(url) };
}

export interface SmallReads {
  /** Of the folder; the files are called 0, 1, 2 and so on. */
  readonly url: string;
  readonly files: number;
  readonly concurrency: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

export async function readSmall(reads: SmallReads): Promise<{ filesPerS: number }> {
  const { url, files, concurrency, warmMs, measureMs } = reads;
  const clock = clockOf(globalThis);
  const fromMs = clock.now() + warmMs;
  const untilMs = fromMs + measureMs;
  let [count, next] = [0, 0];
  await Promise.all(Array.from({ length: concurrency }, async () => {
    using connection = await FileConnection.open(url);
    for (let nowMs = clock.now(); nowMs < untilMs; nowMs = clock.now()) {
      await connection.get(`${url}/${next++ % files}`);
      if (nowMs >= fromMs) count++;
    }
  }));
  return { filesPerS: count / measureMs * 1000 };
}

/** Milliseconds from connecting to the first byte of the content, each time anew. */
export async function readFirstBytes(url: string, count: number): Promise<{ tookMs: number[] }> {
  const clock = clockOf(globalThis);
  const tookMs: number[] = [];
  for (let turn = 0; turn < count; turn++) {
    const startMs = clock.now();
    using files = await FileConnection.open(url);
    await files.begin(url);
    tookMs.push(clock.now() - startMs);
  }
  return { tookMs };
}

/** A connection on which one file after the other is asked for. */
class FileConnection implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async open(url: string): Promise<FileConnection> {
    const { hostname, port } = new URL(url);
    const conn = await Deno.connect({ hostname, port: Number(port) });
    conn.setNoDelay();
    return new FileConnection(conn);
  }

  /** How long it is. */
  async head(url: string): Promise<number> {
    return (await this.#ask("HEAD", url, "")).length;
  }

  /** Reads all of it, and gives how many bytes that were. */
  async get(url: string, headers = ""): Promise<number> {
    const { length, begun } = await this.#ask("GET", url, headers);
    for (let read = begun; read < length;) {
      const count = await this.#conn.read(this.#buffer);
      if (count === null) throw new Error("Cannot measure: the answer was cut short");
      read += count;
    }
    return length;
  }

  /** Waits until some of the content is there. */
  async begin(url: string): Promise<void> {
    const { begun } = await this.#ask("GET", url, "");
    if (begun === 0) await this.#conn.read(this.#buffer);
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }

  async #ask(method: string, url: string, headers: string): Promise<{ length: number; begun: number }> {
    const path = url.slice(url.indexOf("/", 8));
    await writeAll(this.#conn, this.#encoder.encode(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`));
    let read = 0;
    for (;;) {
      const count = await this.#conn.read(this.#buffer.subarray(read));
      if (count === null) throw new Error("Cannot measure: there was no answer");
      read += count;
      const end = endOfHead(this.#buffer.subarray(0, Math.min(read, MAX_HEAD_BYTES)));
      if (end === 0) continue;
      const head = this.#decoder.decode(this.#buffer.subarray(0, end));
      const length = /^content-length: (\d+)\r$/im.exec(head)?.[1];
      if (!/^HTTP\/1\.1 20[06]/.test(head) || length === undefined) throw new Error(`Cannot measure: got ${head}`);
      return { length: Number(length), begun: read - end };
    }
  }
}

/** 0 while it has not come. */
function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(LINE_END); at >= 0; at = bytes.indexOf(LINE_END, at + 1)) {
    if (bytes[at + 2] === LINE_END) return at + 3;
  }
  return 0;
}
