/**
 * The near end of paqet (alpha.21): a Path over the tunnels of a paqet server, its own or ours.
 *
 *   dial → a tunnel that answers → smux stream → header (where to) → bytes both ways
 *
 * What paqet cannot say: whether the target could be reached. A dial settles when the server is known to be there; a stream
 * whose target was not reached just ends. It ends both directions when one ends, so the end of what we say is held back
 * until the far side has ended. Datagrams keep their borders, as frames of smux.
 */

import { orAborted } from "../../protocol/abort.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import { formatIp, parseIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { Fec, openFecCodes } from "../../protocol/packet_layer/fec.ts";
import { FEC_HEAD_BYTES } from "../../protocol/packet_layer/fec_head.ts";
import { paqetKey } from "../../protocol/packet_layer/packet_keys.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import {
  PAQET_FEC_QUIET_MS,
  paqetKcp,
  paqetMux,
  type PaqetSettings,
  paqetSettings,
  paqetShards,
} from "../../protocol/paqet/paqet_settings.ts";
import { MAX_PAQET_FLAGS } from "../../protocol/paqet/stream_header.ts";
import type { Random } from "../../protocol/random.ts";
import {
  type Datagrams,
  type DialOptions,
  formatTarget,
  type PacketCounts,
  type Path,
  type Stream,
  type Target,
} from "../../protocol/stream.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import type { Link } from "../link.ts";
import type { MuxStream } from "../mux.ts";
import { systemLookup } from "../resolve.ts";
import { DialOutcomes } from "./dial_outcomes.ts";
import { HeldEndStream } from "./held_end_stream.ts";
import { connectKcp } from "./kcp_client.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";
import { openPacketSeal } from "./packet_seal.ts";
import { PaqetDatagrams } from "./paqet_datagrams.ts";
import { writePaqetHeader } from "./paqet_header.ts";
import { PaqetTunnel } from "./paqet_tunnel.ts";

export interface PaqetOptions extends Partial<PaqetSettings> {
  /** The server: an IP address or a name, and its port. */
  readonly host: string;
  readonly port: number;
  /** Tunnels, each with a local port of its own. Default 1. */
  readonly conn?: number;
  /** The TCP flags that the server's packets to us take turns with, as words; none: what it was set to. Default none. */
  readonly serverFlags?: readonly number[];
  /** How long a dial waits for any sign of the server. Default 5 s. */
  readonly answerTimeoutMs?: number;
  /** A tunnel that was heard so lately is used without asking whether it lives. Default 3 s, as both ends speak every 2. */
  readonly freshMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Opens the carrier of a tunnel, from a port that was not used before: packets that look like TCP, `look: "paqet"`. */
  openCarrier(peer: Target, signal: AbortSignal): Promise<PacketCarrier>;
}

const MAX_CONN = 256;

/** Opens the Path at once; tunnels are made as they are needed. Throws a CulvertError for settings that cannot be. */
export function openPaqet(options: PaqetOptions): PaqetPath {
  return new PaqetPath(options);
}

export class PaqetPath implements Path {
  readonly #options: PaqetOptions;
  readonly #settings: PaqetSettings;
  readonly #seal: Promise<PacketSeal & Disposable>;
  readonly #codes = openFecCodes();
  readonly #tunnels: (PaqetTunnel | undefined)[];
  readonly #datagrams = new Set<Datagrams>();
  readonly #dials: DialOutcomes;
  readonly #sampler: LinkSampler;
  #isClosed = false;
  /** The newest of each tunnel. */
  readonly #carriers: (PacketCarrier | undefined)[] = [];

  constructor(options: PaqetOptions) {
    const { conn = 1, clock, random, log, metrics, serverFlags = [] } = options;
    if (!Number.isInteger(conn) || conn < 1 || conn > MAX_CONN) {
      throw new CulvertError("bad_option", `Cannot speak as paqet: conn must be 1 to ${MAX_CONN}, got ${conn}`);
    }
    if (serverFlags.length > MAX_PAQET_FLAGS) {
      throw new CulvertError("bad_option", `Cannot speak as paqet: there must be at most ${MAX_PAQET_FLAGS} flags`);
    }
    this.#options = options;
    this.#settings = paqetSettings("client", options);
    this.#tunnels = new Array(conn).fill(undefined);
    this.#sampler = new LinkSampler("paqet_client", { clock, metrics });
    this.#dials = new DialOutcomes(
      metrics.counter("paqet_client_dials_total", "Dials through paqet, by outcome", ["outcome"]),
    );
    const { key, block } = this.#settings;
    this.#seal = paqetKey(key).then((derived) =>
      openPacketSeal({
        crypt: block,
        key: derived,
        random,
        explain: (reason) => log.debug("No libcrypto", { reason }),
      })
    );
    this.#seal.catch(() => {});
  }

  /** Tunnels that were used. */
  get tunnels(): readonly PaqetTunnel[] {
    return this.#tunnels.filter((tunnel) => tunnel !== undefined);
  }

  get streamCount(): number {
    return this.tunnels.reduce((sum, tunnel) => sum + tunnel.streamCount, 0);
  }

  /** What the last dial has found. */
  get problem(): string | undefined {
    return this.#dials.problem;
  }

  get packets(): PacketCounts {
    return this.#sampler.packets;
  }

  /** How the links are that are up. */
  get status(): readonly LinkStatus[] {
    return this.#sampler.status;
  }

  async dial(target: Target, { signal }: DialOptions = {}): Promise<Stream> {
    return new HeldEndStream(await this.#open("tcp", target, signal));
  }

  async datagrams({ signal }: DialOptions = {}): Promise<Datagrams> {
    // Whether the server is there is told now, not by the silence of a socket.
    (await this.#tunnel().open(signal)).close();
    const datagrams: Datagrams = new PaqetDatagrams({
      clock: this.#options.clock,
      open: (target, signal) => this.#open("udp", target, signal),
      onClose: () => this.#datagrams.delete(datagrams),
    });
    this.#datagrams.add(datagrams);
    return datagrams;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sampler[Symbol.dispose]();
    for (const datagrams of [...this.#datagrams]) datagrams.close();
    for (const tunnel of this.tunnels) tunnel.close();
    void this.closed().then(() => this.#seal).then((seal) => seal[Symbol.dispose](), () => {});
  }

  /** Settles when every tunnel and its carrier are closed. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all(this.tunnels.map(({ keeper }) => keeper.done));
    await Promise.all(this.#carriers.map((carrier) => carrier?.[Symbol.asyncDispose]()));
    await this.#seal.catch(() => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #open(kind: "tcp" | "udp", target: Target, signal?: AbortSignal): Promise<MuxStream> {
    return await this.#dials.of(this.#openStream(kind, target, signal));
  }

  async #openStream(kind: "tcp" | "udp", target: Target, signal: AbortSignal | undefined): Promise<MuxStream> {
    signal?.throwIfAborted();
    const stream = await this.#tunnel().open(signal);
    const onAbort = () => stream.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await writePaqetHeader(stream, { kind, target });
      return stream;
    } catch (error) {
      stream.abort();
      signal?.throwIfAborted();
      if (error instanceof DialError) throw error;
      throw new DialError("path_down", `The tunnel was lost while it dialled: ${messageOf(error)}`, { cause: error });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** The one with the fewest streams, made if it is not there. */
  #tunnel(): PaqetTunnel {
    if (this.#isClosed) throw new DialError("path_down", "Cannot dial: the tunnel is closed");
    let best = 0;
    for (const [index, tunnel] of this.#tunnels.entries()) {
      if (!tunnel) return this.#tunnels[index] = this.#newTunnel(index);
      if (tunnel.streamCount < this.#tunnels[best]!.streamCount) best = index;
    }
    return this.#tunnels[best]!;
  }

  #newTunnel(index: number): PaqetTunnel {
    const { clock, random, log, metrics, host, port, serverFlags = [] } = this.#options;
    const { answerTimeoutMs = 5000, freshMs = 3000 } = this.#options;
    return new PaqetTunnel({
      connect: (signal) => this.#connect(index, signal),
      farEnd: formatTarget({ host, port }),
      clock,
      random,
      log,
      metrics,
      serverFlags,
      answerTimeoutMs,
      freshMs,
      mux: { ...paqetMux(this.#settings), keepsFrames: true },
    });
  }

  async #connect(index: number, signal: AbortSignal): Promise<Link> {
    const { clock, random, port, openCarrier } = this.#options;
    const seal = await orAborted(this.#seal, signal);
    const host = await orAborted(addressOf(this.#options.host), signal);
    const kcp = paqetKcp(this.#settings, seal);
    const shards = paqetShards(this.#settings);
    const link = await connectKcp({
      kcp,
      clock,
      random,
      makeSeal: () => seal,
      makeFec: () =>
        new Fec({
          codes: this.#codes,
          shards,
          mostBytes: kcp.mtuBytes + FEC_HEAD_BYTES,
          quietMs: PAQET_FEC_QUIET_MS,
        }),
      openCarrier: async () => this.#carriers[index] = await openCarrier({ host, port }, signal),
      host,
      port,
    }, signal);
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    this.#sampler.add(link, traffic, { client: "", place: () => formatTarget({ host, port }) });
    return new CountedLink(link, traffic);
  }
}

async function addressOf(host: string): Promise<string> {
  if (parseIp(host)) return host;
  const [address] = await systemLookup(host);
  if (!address) throw new DialError("unresolved", `Cannot find the paqet server: ${host} has no address`);
  return formatIp(address);
}
