/**
 * Asks name servers for somebody else: each try has an id of chance and a port of its own that the system picks, and what
 * comes back counts only if it is from the server asked and answers that very question.
 *
 *   servers in turn, at most three tries ─▶ answer with the client's own id, or undefined when none came
 */

import { closeQuietly } from "../../../net/close.ts";
import { type Clock, deadline } from "../../../protocol/clock.ts";
import { type DnsQuestion, isDnsAnswer, MAX_DNS_MESSAGE_BYTES, withDnsId } from "../../../protocol/dns_message.ts";
import { messageOf } from "../../../protocol/errors.ts";
import { formatIp, type IpAddress } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Random } from "../../../protocol/random.ts";
import { readFull, writeAll } from "../../../protocol/stream.ts";

export interface NameServer {
  readonly address: IpAddress;
  readonly port: number;
}

export interface DnsUpstreamOptions {
  /** The servers to ask, best first. */
  servers(): Promise<readonly NameServer[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const TRIES = 3;
/** Together below what clients wait for an answer, which is 5 s. */
const TRY_MS = 1_400;

type Ask = (server: NameServer, query: Uint8Array, question: DnsQuestion, signal: AbortSignal) => Promise<Uint8Array>;

export class DnsUpstream {
  readonly #options: DnsUpstreamOptions;

  constructor(options: DnsUpstreamOptions) {
    this.#options = options;
  }

  askByUdp(query: Uint8Array, question: DnsQuestion, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#ask(askByUdp, query, question, signal);
  }

  askByTcp(query: Uint8Array, question: DnsQuestion, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#ask(askByTcp, query, question, signal);
  }

  async #ask(ask: Ask, query: Uint8Array, question: DnsQuestion, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { servers, clock, log } = this.#options;
    const all = await servers();
    for (let attempt = 0; attempt < TRIES && all.length > 0 && !signal.aborted; attempt++) {
      const server = all[attempt % all.length]!;
      const id = this.#freshId();
      using limit = deadline(clock, TRY_MS, "ask a name server", signal);
      try {
        const answer = await ask(server, withDnsId(query, id), { ...question, id }, limit.signal);
        return withDnsId(answer, question.id);
      } catch (error) {
        log.debug("A name server has not answered", { server: formatIp(server.address), error: messageOf(error) });
      }
    }
    return undefined;
  }

  #freshId(): number {
    const bytes = this.#options.random.fill(new Uint8Array(2));
    return bytes[0]! << 8 | bytes[1]!;
  }
}

async function askByUdp(
  { address, port }: NameServer,
  query: Uint8Array,
  question: DnsQuestion,
  signal: AbortSignal,
): Promise<Uint8Array> {
  signal.throwIfAborted();
  const hostname = formatIp(address);
  const socket = Deno.listenDatagram({ transport: "udp", hostname: address.length === 4 ? "0.0.0.0" : "::", port: 0 });
  using _socket = closedWith(signal, socket);
  await socket.send(query, { transport: "udp", hostname, port });
  const buffer = new Uint8Array(MAX_DNS_MESSAGE_BYTES);
  for (;;) {
    const [message, from] = await socket.receive(buffer);
    const { hostname: fromHost, port: fromPort } = from as Deno.NetAddr;
    if (fromPort === port && fromHost === hostname && isDnsAnswer(message, question)) return message;
  }
}

async function askByTcp(
  { address, port }: NameServer,
  query: Uint8Array,
  question: DnsQuestion,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const conn = await Deno.connect({ hostname: formatIp(address), port, signal });
  using _conn = closedWith(signal, conn);
  await writeDnsMessage(conn, query);
  const answer = await readDnsMessage(conn);
  if (!answer || !isDnsAnswer(answer, question)) throw new Error("it has answered something else");
  return answer;
}

/** A message with its length before it, as over TCP (RFC 1035 §4.2.2); undefined when there is no other. */
export async function readDnsMessage(conn: Pick<Deno.Conn, "read">): Promise<Uint8Array | undefined> {
  const length = new Uint8Array(2);
  if (!await readFull(conn, length)) return undefined;
  const message = new Uint8Array(length[0]! << 8 | length[1]!);
  return await readFull(conn, message) ? message : undefined;
}

export async function writeDnsMessage(conn: Pick<Deno.Conn, "write">, message: Uint8Array): Promise<void> {
  const framed = new Uint8Array(2 + message.length);
  framed.set([message.length >> 8, message.length & 255]);
  framed.set(message, 2);
  await writeAll(conn, framed);
}

/** Closes it when the signal comes or the scope ends, which ends what waits for it. */
export function closedWith(signal: AbortSignal, held: { close(): void }): Disposable {
  const close = () => closeQuietly(held);
  if (signal.aborted) close();
  signal.addEventListener("abort", close, { once: true });
  return {
    [Symbol.dispose]() {
      signal.removeEventListener("abort", close);
      close();
    },
  };
}
