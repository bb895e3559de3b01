/**
 * SOCKS5 UDP ASSOCIATE (RFC 1928 §7): a UDP socket beside the control connection, for as long as that stays open.
 *
 *   program ⇄ [header | data] ⇄ our socket ⇄ data ⇄ Path.datagrams
 *
 * Datagrams are taken from the client's address only: from the port it announced, or else from the first one seen. Each
 * direction carries one datagram at a time and leaves the queueing, and the dropping, to the kernel's socket buffers.
 * Fragments are dropped, as the RFC allows.
 */

import { dialReplyOf } from "../../protocol/dial_reply.ts";
import { dialFailureOf, messageOf } from "../../protocol/errors.ts";
import { encodeDatagramHeader, encodeReply, parseDatagram, SocksReply } from "../../protocol/socks.ts";
import { type Datagrams, type Target, writeAll } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";
import type { Client } from "./client.ts";
import type { Ingress } from "./ingress.ts";
import { farewell } from "./reply.ts";
import { type DatagramSocket, type NetAddr, openDatagramSocket } from "../runtime.ts";

/** The largest UDP payload there is. */
const MAX_DATAGRAM_BYTES = 65_535;

/** The longest header: three bytes, type, length, a name of 255 bytes, port. */
const MAX_HEADER_BYTES = 262;

export async function serveUdpAssociation(client: Client, ingress: Ingress, announced: Target): Promise<void> {
  ingress.handshakes.delete(client);
  if (ingress.udpAssociations >= ingress.limits.maxUdpAssociations) {
    ingress.count("refusals", "udp_associations");
    return await farewell(client, ingress, encodeReply(dialReplyOf("busy").socks5));
  }
  ingress.udpAssociations++;
  try {
    using association = await open(client, ingress, announced);
    client.hold(association);
    await association.run();
  } catch (error) {
    if (client.closed) return;
    await farewell(client, ingress, encodeReply(dialReplyOf(dialFailureOf(error)).socks5));
  } finally {
    client.hold(undefined);
    ingress.udpAssociations--;
  }
}

async function open(client: Client, ingress: Ingress, announced: Target): Promise<Association> {
  const remote = await ingress.datagrams(client);
  try {
    const { hostname } = client.conn.localAddr;
    const socket = await openDatagramSocket({ hostname, port: 0 });
    return new Association(client, ingress, remote, socket, announced.port);
  } catch (error) {
    remote.close();
    throw error;
  }
}

class Association implements Disposable {
  readonly #client: Client;
  readonly #ingress: Ingress;
  readonly #remote: Datagrams;
  readonly #socket: DatagramSocket;
  /** The client's UDP port; 0 until the first datagram shows it. */
  #clientPort: number;
  #closed = false;
  #sentBytes = 0;
  #receivedBytes = 0;

  constructor(client: Client, ingress: Ingress, remote: Datagrams, socket: DatagramSocket, clientPort: number) {
    this.#client = client;
    this.#ingress = ingress;
    this.#remote = remote;
    this.#socket = socket;
    this.#clientPort = clientPort;
  }

  /** Says where to send, then carries until the control connection or either socket ends. Never rejects. */
  async run(): Promise<void> {
    const { hostname, port } = this.#socket.addr;
    // A port that listens on both families shows IPv4 as a part of IPv6, which an IPv4 program cannot send to.
    const host = hostname.replace(/^::ffff:(?=[\d.]+$)/, "");
    this.#ingress.udpIdle.add(this.#client);
    const ends = [this.#watchControl(host, port), this.#outward(), this.#inward()];
    await Promise.all(ends.map(async (end) => {
      try {
        await end;
      } catch (error) {
        if (!this.#closed) this.#ingress.log.debug("UDP association ended", { error: messageOf(error) });
      } finally {
        this.#client.close();
        this.close();
      }
    }));
    this.#ingress.carried(this.#sentBytes, this.#receivedBytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ingress.udpIdle.delete(this.#client);
    closeQuietly(this.#socket);
    this.#remote.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #watchControl(host: string, port: number): Promise<void> {
    const { conn, inbox } = this.#client;
    await writeAll(conn, encodeReply(SocksReply.succeeded, { host, port }));
    do inbox.consume(inbox.length); while (await inbox.fill());
  }

  async #outward(): Promise<void> {
    const buffer = new Uint8Array(MAX_DATAGRAM_BYTES);
    while (!this.#closed) {
      const [datagram, from] = await this.#socket.receive(buffer);
      const parsed = this.#isOurs(from) ? parseDatagram(datagram) : undefined;
      if (!parsed) {
        this.#ingress.count("droppedDatagrams", "malformed");
        continue;
      }
      this.#clientPort = from.port;
      this.#ingress.udpIdle.add(this.#client);
      this.#sentBytes += datagram.length - parsed.dataAt;
      try {
        await this.#remote.send(datagram.subarray(parsed.dataAt), parsed.address);
      } catch (error) {
        if (this.#closed) return;
        this.#ingress.count("droppedDatagrams", dialFailureOf(error));
      }
    }
  }

  async #inward(): Promise<void> {
    const buffer = new Uint8Array(MAX_HEADER_BYTES + MAX_DATAGRAM_BYTES);
    const room = buffer.subarray(MAX_HEADER_BYTES);
    for (let got = await this.#remote.receive(room); got !== null; got = await this.#remote.receive(room)) {
      const header = encodeDatagramHeader(got.from);
      if (!header || this.#clientPort === 0) {
        this.#ingress.count("droppedDatagrams", "no_address");
        continue;
      }
      const start = MAX_HEADER_BYTES - header.length;
      buffer.set(header, start);
      this.#ingress.udpIdle.add(this.#client);
      this.#receivedBytes += got.length;
      const to = { transport: "udp", hostname: this.#client.from.host, port: this.#clientPort } as const;
      try {
        await this.#socket.send(buffer.subarray(start, MAX_HEADER_BYTES + got.length), to);
      } catch {
        if (this.#closed) return;
        // The client's port may be shut for a moment, or header and data together be too long for one datagram.
        this.#ingress.count("droppedDatagrams", "unsendable");
      }
    }
  }

  #isOurs(from: NetAddr): boolean {
    return from.hostname === this.#client.from.host && (this.#clientPort === 0 || from.port === this.#clientPort);
  }
}
