/**
 * The far end of our own dialect of KCP: sessions of sealed packets on one or several carriers, each a link whose streams
 * are dialled onward.
 *
 *   carriers → sealed packets (whose is it?) → KcpLink of the session → mux with our extensions → TunnelLinks → onward
 *
 * To whoever has no credential there is nothing here: no datagram of theirs is answered. Clients have names; one that is
 * revoked is told so and loses its sessions at once. What sessions do is counted by client.
 */

import type { Timer } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { type KcpMemory, kcpMemory } from "../../protocol/kcp/segment_blocks.ts";
import type { NoiseKeyPair } from "../../protocol/noise_ik.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import type { Random } from "../../protocol/random.ts";
import { ClientTable, type KnownClient } from "../../protocol/sealed_packets/clients.ts";
import type { NamedSecret } from "../../protocol/sealed_packets/credentials.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import { PACKET_HEAD_BYTES, PACKET_TAIL_BYTES } from "../../protocol/sealed_packets/packet_epoch.ts";
import { SealedServer, type SealedServerLimits, type ServerSession } from "../../protocol/sealed_packets/server.ts";
import { Word } from "../../protocol/sealed_packets/session_words.ts";
import type { Path } from "../../protocol/stream.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import { type TunnelLinkOptions, TunnelLinks } from "../tunnel_link.ts";
import { countedDials } from "./counted_dials.ts";
import {
  checkSettings,
  culvertKcp,
  type CulvertKcpSettings,
  kcpBytes,
  RoutedSender,
  sayWord,
  sendBytes,
} from "./culvert_session.ts";
import { KcpLink } from "./kcp_link.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";

export interface CulvertKcpServerOptions extends TunnelLinkOptions {
  /** They are closed with the server. */
  readonly carriers: readonly PacketCarrier[];
  readonly crypto: WireGuardCrypto;
  readonly random: Random;
  readonly log: Log;
  readonly server: NoiseKeyPair;
  readonly clients: readonly NamedSecret[];
  readonly settings?: CulvertKcpSettings;
  readonly onward: Path;
  readonly sessions?: SealedServerLimits;
  /** Whether whoever knows the server's public key but no secret is told so. Default true. */
  readonly tellStrangers?: boolean;
}

export interface CulvertKcpServerStatus {
  readonly clients: readonly string[];
  readonly sessions: readonly LinkStatus[];
  readonly streams: number;
  /** Hellos, by what became of them. */
  readonly hellos: Readonly<Record<string, number>>;
}

const TICK_MS = 5_000;
/** The client notices silence long before, and goes on with its session from elsewhere. */
const KEEP_ALIVE_TIMEOUT_MS = 30_000;
/** Clients ask as often as they need to know; a server that asks a thousand of them every second does little else. */
const KEEP_ALIVE_INTERVAL_MS = 10_000;
const SILENCE_MS = 30_000;
/** Blocks of segments that are kept for all sessions. */
const KEPT_BLOCKS = 128;
/** What a client's sessions may have lie in gaps together: four whole windows, 48 MB. */
const CLIENT_BLOCKS = 2048;

export class CulvertKcpServer implements AsyncDisposable {
  readonly clients: ClientTable;
  readonly #options: CulvertKcpServerOptions;
  readonly #sealed: SealedServer;
  readonly #links: TunnelLinks;
  readonly #sampler: LinkSampler;
  readonly #heard = new Set<KcpLink>();
  readonly #mtuBytes: number;
  readonly #memory: KcpMemory;
  readonly #memoryOf = new WeakMap<KnownClient, KcpMemory>();
  readonly #hellos: Record<string, number> = {};
  readonly #metrics;
  readonly #closed = Promise.withResolvers<void>();
  #timer: Timer;
  #isClosed = false;

  /** Begins to receive. */
  constructor(options: CulvertKcpServerOptions) {
    const { carriers, crypto, random, clock, metrics, server, tellStrangers, sessions } = options;
    if (carriers.length === 0) throw new CulvertError("bad_option", "Cannot serve KCP: there must be a carrier");
    checkSettings(options.settings ?? {});
    this.#options = options;
    this.clients = new ClientTable(crypto, server, options.clients);
    this.clients.onRevoked = ({ name }) => this.#revoke(name);
    this.#metrics = {
      hellos: metrics.counter("kcp_server_hellos_total", "Hellos to the KCP server, by outcome", ["outcome"]),
      dials: metrics.counter("kcp_server_dials_total", "Dials for KCP clients, by outcome", ["client", "outcome"]),
    };
    this.#sampler = new LinkSampler("kcp_server", { clock, metrics });
    const mux = {
      keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS,
      keepAliveIntervalMs: KEEP_ALIVE_INTERVAL_MS,
      ...options.mux,
    };
    this.#links = new TunnelLinks({ ...options, mux });
    this.#mtuBytes = kcpBytes(carriers, options.settings ?? {});
    this.#memory = kcpMemory(this.#mtuBytes, KEPT_BLOCKS);
    this.#sealed = new SealedServer({
      tools: { crypto, random },
      server,
      clients: this.clients,
      clock,
      ...(tellStrangers !== undefined && { tellStrangers }),
      ...(sessions && { limits: sessions }),
    }, {
      answer: (bytes, carrier, place) => sendBytes({ carrier, place }, bytes),
      onSession: (session) => this.#begin(session),
      onClosed: (session) => linkOf(session)?.fail(new CulvertError("link_lost", "The client has closed the session")),
      onHello: (outcome) => {
        this.#hellos[outcome] = (this.#hellos[outcome] ?? 0) + 1;
        this.#metrics.hellos.add(1, { outcome });
      },
    });
    for (const carrier of carriers) this.#listen(carrier);
    this.#timer = clock.after(TICK_MS, () => this.#tick());
  }

  get sessionCount(): number {
    return this.#sealed.sessions.size;
  }

  /** Everything that is kept for hellos and sessions, in entries. */
  get heldCount(): number {
    return this.#sealed.heldCount;
  }

  get status(): CulvertKcpServerStatus {
    return {
      clients: this.clients.names,
      sessions: this.#sampler.status,
      streams: this.#links.streamCount,
      hellos: { ...this.#hellos },
    };
  }

  /** Takes no more sessions or streams, waits until every stream has ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#sealed.takesSessions = false;
    await this.#links.drain(signal);
    this.close();
    await this.closed();
  }

  /** Ends every session, telling their clients, and the carriers. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.cancel();
    for (const session of [...this.#sealed.sessions]) this.#end(session, Word.CLOSED);
    this.#sealed[Symbol.dispose]();
    this.#links.close();
    this.#sampler[Symbol.dispose]();
    this.#finish().then(this.#closed.resolve, this.#closed.reject);
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  closed(): Promise<void> {
    return this.#closed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed();
  }

  async #finish(): Promise<void> {
    await Promise.all(this.#options.carriers.map((carrier) => carrier[Symbol.asyncDispose]()));
    await this.#links.closed();
  }

  #listen(carrier: PacketCarrier): void {
    carrier.start({
      onPacket: (slab, start, end, from) => {
        const session = this.#sealed.receive(carrier, slab, start, end, from);
        const link = session && linkOf(session);
        if (!link) return;
        link.receiveOpened(slab, start + PACKET_HEAD_BYTES, end - PACKET_TAIL_BYTES);
        this.#heard.add(link);
      },
      onTurn: () => this.#turn(),
      onClose: (error) => {
        if (this.#isClosed) return;
        this.#options.log.error("A carrier of the KCP server has ended", {
          error: error === undefined ? undefined : messageOf(error),
        });
      },
    });
  }

  #turn(): void {
    for (const link of this.#heard) link.turn();
    this.#heard.clear();
  }

  #tick(): void {
    const { clock } = this.#options;
    this.#sealed.tick(clock.now());
    this.#timer = clock.after(TICK_MS, () => this.#tick());
  }

  #begin(session: ServerSession): void {
    const { clock, settings = {}, onward, log, random } = this.#options;
    const { client: { name }, carrier } = session;
    const link = new KcpLink({
      carrier: new RoutedSender(session, () => {}),
      place: session.place,
      seal: session.keys,
      kcp: culvertKcp(this.#mtuBytes, settings, {
        random,
        nowMs: clock.now(),
        memory: this.#memoryFor(session.client),
      }),
      clock,
      silenceMs: SILENCE_MS,
      onEnd: () => {
        this.#heard.delete(link);
        this.#end(session, Word.CLOSED);
      },
    });
    session.owner = link;
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    this.#sampler.add(link, traffic, { client: name, place: () => session.place.key });
    log.debug("A KCP session has begun", { client: name });
    this.#links.serve(new CountedLink(link, traffic), {
      onward: countedDials(
        onward,
        this.#options.clock,
        (outcome) => this.#metrics.dials.add(1, { client: name, outcome }),
      ),
      hops: [{
        name: "kcp server",
        at: `port ${formatPorts({ first: carrier.localPorts[0]!, count: carrier.localPorts.length })}`,
      }],
    });
  }

  /** Whoever sends what leaves gaps makes us keep much; it is not to be all there is. */
  #memoryFor(client: KnownClient): KcpMemory {
    let memory = this.#memoryOf.get(client);
    if (!memory) {
      const { sending, receiving } = this.#memory;
      this.#memoryOf.set(client, memory = { sending, receiving: receiving.part(CLIENT_BLOCKS) });
    }
    return memory;
  }

  #revoke(name: string): void {
    this.#options.log.info("A KCP client was revoked", { client: name });
    for (const session of [...this.#sealed.sessions]) {
      if (session.client.name === name) this.#end(session, Word.REVOKED);
    }
  }

  /** Ends a session and its link; the client is told. */
  #end(session: ServerSession, word: Word): void {
    if (session.isClosed) return;
    sayWord(session, session.keys, word, this.#options.random);
    this.#sealed.close(session);
  }
}

function linkOf(session: ServerSession): KcpLink | undefined {
  return session.owner instanceof KcpLink ? session.owner : undefined;
}
