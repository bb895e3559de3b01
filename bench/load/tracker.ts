/**
 * Many peers of a tracker over a few connections: they register, and then send heartbeats as fast as they are answered, while
 * one of a hundred announces is somebody new. Requests are made beforehand and written as bytes, so that it is not the load that is measured.
 * The same for a BitTorrent tracker over HTTP, which closes each connection; and how long lists take.
 */

import { hostPrimitives } from "../../net/host_primitives.ts";
import type { Clock } from "../../protocol/clock.ts";
import { parseResponseHead, valuesOf } from "../../protocol/http_head.ts";
import { signRequest } from "../../protocol/http_signature.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { makeCard } from "../../protocol/peers/card.ts";
import { type Random, randomInt } from "../../protocol/random.ts";
import { readFull, type Target, writeAll } from "../../protocol/stream.ts";

export interface AnnounceLoad {
  readonly target: Target;
  readonly peers: number;
  readonly connections: number;
}

export interface Times {
  readonly warmMs: number;
  readonly measureMs: number;
}

export interface Rates {
  readonly perS: number;
  /** Answered in all, warming up included. */
  readonly all: number;
  /** Answers with another status than that of success, of all. */
  readonly refusedShare: number;
}

interface Host {
  readonly clock: Clock;
  readonly random: Random;
}

const HEARTBEATS_PER_REGISTRATION = 100;
/** Registrations that are signed before they are needed, which is within the minute for which they count. */
const SPARE_REGISTRATIONS = 2000;
const REGIONS = ["eu", "us", "ap"];
const encoder = new TextEncoder();

/** Peers that are registered, to send heartbeats in several ways. */
export class Announcers {
  readonly #load: AnnounceLoad;
  readonly #host: Host;
  readonly #primitives = hostPrimitives();
  readonly #heartbeats: Uint8Array[] = [];

  private constructor(load: AnnounceLoad, host: Host) {
    this.#load = load;
    this.#host = host;
  }

  static async register(load: AnnounceLoad, host: Host): Promise<Announcers> {
    const announcers = new Announcers(load, host);
    let begun = 0;
    await Promise.all(Array.from({ length: load.connections }, async () => {
      using connection = await Connection.open(load.target);
      while (begun++ < load.peers) {
        const { status, body } = await connection.ask(announcers.#registration());
        if (status !== 201) throw new Error(`Cannot register: the tracker answered ${status} and ${body}`);
        announcers.#heartbeats.push(announcers.#heartbeatOf(JSON.parse(body).token));
      }
    }));
    return announcers;
  }

  /** Announces a second: on connections that are kept, or each on one of its own. */
  async run({ isClosing, ...times }: Times & { readonly isClosing: boolean }): Promise<Rates> {
    const spare = Array.from({ length: SPARE_REGISTRATIONS }, () => this.#registration());
    let turn = 0;
    let registered = 0;
    const nextRequest = () => {
      if (++turn % HEARTBEATS_PER_REGISTRATION === 0 && registered < spare.length) return spare[registered++]!;
      return this.#heartbeats[turn % this.#heartbeats.length]!;
    };
    return await measure({ ...this.#load, ...times, isClosing, nextRequest }, this.#host.clock);
  }

  #heartbeatOf(token: string): Uint8Array {
    return encoder.encode(
      `POST /api/peers/heartbeat HTTP/1.1\r\nHost: ${this.#hostName}\r\nAuthorization: Bearer ${token}\r\n` +
        "Content-Length: 0\r\n\r\n",
    );
  }

  /** Of somebody new. */
  #registration(): Uint8Array {
    const { clock, random } = this.#host;
    const identity = new Identity(generateSecrets(random), this.#primitives);
    const url = `http://${this.#hostName}/api/peers/register`;
    const card = makeCard(identity, {
      label: "A peer of the load",
      region: REGIONS[randomInt(random, REGIONS.length)],
      addresses: ["0.0.0.0:4100"],
      relays: [],
      capabilities: ["files"],
      issuedAtMs: clock.wallNow(),
    });
    const body = JSON.stringify({ card, numwant: 0 });
    const headers = signRequest({ method: "POST", url }, encoder.encode(body), {
      signer: identity,
      wallNowMs: clock.wallNow(),
      random,
      primitives: this.#primitives,
    });
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    return encoder.encode(
      `POST /api/peers/register HTTP/1.1\r\nHost: ${this.#hostName}\r\n${fields}Content-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  }

  get #hostName(): string {
    return `${this.#load.target.host}:${this.#load.target.port}`;
  }
}

const TORRENTS = 1000;

/** Announces to a BitTorrent tracker (BEP 3, 23): as many torrents and peers, and no peers in the answers. */
export async function runBitTorrentAnnounces(load: AnnounceLoad & Times, { clock, random }: Host): Promise<Rates> {
  const hex = (bytes: number) =>
    [...random.fill(new Uint8Array(bytes))].map((byte) => `%${byte.toString(16).padStart(2, "0")}`);
  const torrents = Array.from({ length: TORRENTS }, () => hex(20).join(""));
  const requests = Array.from({ length: load.peers }, (_, peer) =>
    encoder.encode(
      `GET /announce?info_hash=${torrents[peer % TORRENTS]}&peer_id=${hex(20).join("")}&port=${1024 + peer % 60_000}` +
        "&uploaded=0&downloaded=0&left=1&compact=1&numwant=0 HTTP/1.1\r\nHost: tracker\r\n\r\n",
    ));
  let turn = 0;
  const nextRequest = () => requests[turn++ % requests.length]!;
  return await measure({ ...load, isClosing: true, nextRequest }, clock);
}

/** Milliseconds that each of so many lists took, of the whole and by filters, from anywhere in the order. */
export async function runLists(target: Target, count: number, { clock, random }: Host): Promise<number[]> {
  using connection = await Connection.open(target);
  const filters = ["", "&capability=files", "&region=eu", "&capability=relay", "&capability=files&region=us"];
  const tookMs: number[] = [];
  for (let turn = 0; turn < count; turn++) {
    const after = `${"abcdefghijklmnopqrstuvwxyz234567"[randomInt(random, 32)]}${"a".repeat(25)}`;
    const query = `limit=50&after=${after}${filters[turn % filters.length]}`;
    const startMs = clock.now();
    const { status } = await connection.ask(
      encoder.encode(`GET /api/peers/list?${query} HTTP/1.1\r\nHost: tracker\r\n\r\n`),
    );
    if (status !== 200) throw new Error(`Cannot list peers: the tracker answered ${status}`);
    tookMs.push(clock.now() - startMs);
  }
  return tookMs;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Run extends Omit<AnnounceLoad, "peers">, Times {
  readonly isClosing: boolean;
  nextRequest(): Uint8Array;
}

async function measure(
  { target, connections, warmMs, measureMs, isClosing, nextRequest }: Run,
  clock: Clock,
): Promise<Rates> {
  const fromMs = clock.now() + warmMs;
  const untilMs = fromMs + measureMs;
  let all = 0;
  let answered = 0;
  let refused = 0;
  const worker = async () => {
    let connection: Connection | undefined;
    for (let nowMs = clock.now(); nowMs < untilMs; nowMs = clock.now()) {
      connection ??= await Connection.open(target);
      const status = await connection.askStatus(nextRequest());
      all++;
      if (status >= 300) refused++;
      if (nowMs >= fromMs) answered++;
      if (isClosing) {
        connection[Symbol.dispose]();
        connection = undefined;
      }
    }
    connection?.[Symbol.dispose]();
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return { perS: answered / measureMs * 1000, all, refusedShare: all === 0 ? 1 : refused / all };
}

/** One request at a time, and as little around it as there can be. */
class Connection implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #buffer = new Uint8Array(16 * 1024);
  /** Bytes of the last answer that came in one piece, and its status. */
  #lastBytes = 0;
  #lastStatus = 0;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async open({ host, port }: Target): Promise<Connection> {
    const conn = await Deno.connect({ hostname: host, port });
    conn.setNoDelay(true);
    return new Connection(conn);
  }

  /** An answer that is as long as the one before, and of its status, has nothing new in it. */
  async askStatus(request: Uint8Array): Promise<number> {
    await writeAll(this.#conn, request);
    const count = await this.#conn.read(this.#buffer);
    const status = this.#buffer[9]! * 100 + this.#buffer[10]! * 10 + this.#buffer[11]! - 0x30 * 111;
    if (count !== null && count === this.#lastBytes && status === this.#lastStatus) return status;
    const answer = await this.#readAnswer(count);
    this.#lastBytes = count ?? 0;
    this.#lastStatus = answer.status;
    return answer.status;
  }

  async ask(request: Uint8Array): Promise<Answer> {
    await writeAll(this.#conn, request);
    return await this.#readAnswer(await this.#conn.read(this.#buffer));
  }

  /** `count` bytes of it have been read. */
  async #readAnswer(count: number | null): Promise<Answer> {
    for (let filled = 0;; count = await this.#conn.read(this.#buffer.subarray(filled))) {
      if (count === null) throw new Error("The tracker has closed the connection");
      const parsed = parseResponseHead(this.#buffer.subarray(0, filled += count));
      if (parsed.status === "bad") throw new Error(`Cannot read an answer: ${parsed.reason}`);
      if (parsed.status === "done") {
        const body = new Uint8Array(Number(valuesOf(parsed.value.fields, "content-length")[0] ?? 0));
        const known = this.#buffer.subarray(parsed.length, filled);
        body.set(known.subarray(0, body.length));
        await readFull(this.#conn, body.subarray(known.length));
        return { status: parsed.value.status, body: new TextDecoder().decode(body) };
      }
    }
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}
