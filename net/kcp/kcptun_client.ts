/**
 * The near end of kcptun: a Path over the tunnels of a kcptun server, Debian's or ours.
 *
 *   dial → a tunnel that lives → smux stream → [far: socks5: asks for the target] → bytes both ways
 *
 * What kcptun cannot say: a stream leads to the one target its server was given (`far: "fixed"`, whatever is dialled), and
 * whether that could be connected is not told; a stream that was not just ends. So a dial settles when the server is known
 * to be there. With a SOCKS5 server as that target (`far: "socks5"`) the dial leads where it should, and fails truthfully.
 *
 * kcptun ends both directions when one ends. So the end of what we say is held back until the far side has ended, unless
 * `halfClose` says that the far end is ours and passes it on.
 *
 * A wrong key, crypt, FEC or a server that is not there look alike: silence. A dial tells so within `answerTimeoutMs`.
 * A tunnel whose server has forgotten it (a restart) is silent as well, so each dial tries a fresh one before that.
 */

import { orAborted } from "../../protocol/abort.ts";
import { CarrierGroup } from "../../protocol/carrier_group.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { Fec, openFecCodes } from "../../protocol/packet_layer/fec.ts";
import {
  kcptunKcp,
  kcptunMux,
  type KcptunSettings,
  kcptunSettings,
  kcptunShards,
} from "../../protocol/packet_layer/kcptun_settings.ts";
import { kcptunKey } from "../../protocol/packet_layer/packet_keys.ts";
import { SnappyScratch } from "../../protocol/packet_layer/snappy_frames.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Random } from "../../protocol/random.ts";
import {
  type DialOptions,
  formatTarget,
  type PacketCounts,
  type Path,
  type Stream,
  type Target,
} from "../../protocol/stream.ts";
import { formatIp, parseIp } from "../../protocol/ip.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import type { Link } from "../link.ts";
import type { MuxConnection, MuxStream } from "../mux.ts";
import { openCarrier } from "../packets/open_carrier.ts";
import { systemLookup } from "../resolve.ts";
import { connectSocks5 } from "../socks_stream.ts";
import { connectKcp } from "./kcp_client.ts";
import type { KcpLink } from "./kcp_link.ts";
import { KcptunTunnel } from "./kcptun_tunnel.ts";
import { DialOutcomes } from "./dial_outcomes.ts";
import { HeldEndStream } from "./held_end_stream.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";
import { openPacketSeal } from "./packet_seal.ts";
import { SnappyLink } from "./snappy_link.ts";

export interface KcptunOptions extends Partial<KcptunSettings> {
  /** The server: an IP address or a name, and its UDP port. */
  readonly host: string;
  readonly port: number;
  /** What the server's target is: somewhere that every stream leads to, or a SOCKS5 server. Default `fixed`. */
  readonly far?: "fixed" | "socks5";
  /** Tunnels, each with a local port of its own. Default 1. */
  readonly conn?: number;
  /** Seconds after which a tunnel gets no more streams and another takes its place; 0: never. Default 0. */
  readonly autoexpire?: number;
  /** Seconds that the streams of such a tunnel have to end. Default 600. */
  readonly scavengettl?: number;
  /** The far end passes the end of one direction on, as ours does. Default false, as kcptun. */
  readonly halfClose?: boolean;
  /** How long a dial waits for any sign of the server. Default 5 s. */
  readonly answerTimeoutMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Opens the carrier of a tunnel. Default: UDP. */
  readonly openCarrier?: (peer: Target, signal: AbortSignal) => Promise<PacketCarrier>;
}

/** A tunnel that was heard so lately is taken to live; another has to answer first, which takes a round trip. */
const FRESH_MS = 500;
/** What was sent goes unanswered for so many looks in a row: new streams go elsewhere. */
const SILENT_LOOKS = 4;
/** A tunnel that was quiet for longer answers a dial within this share of the time for it, or a fresh one is tried. */
const FIRST_TRY = 0.4;
const LOOK_MS = 1000;
const MAX_CONN = 256;

/** Opens the Path at once; tunnels are made as they are needed. Throws a CulvertError for settings that cannot be. */
export function openKcptun(options: KcptunOptions): KcptunPath {
  return new KcptunPath(options);
}

interface Carried {
  readonly link: KcpLink;
  readonly carrier: PacketCarrier;
}

interface Retired {
  readonly tunnel: KcptunTunnel;
  readonly untilMs: number;
}

export class KcptunPath implements Path {
  readonly #options: KcptunOptions;
  readonly #settings: KcptunSettings;
  readonly #mux: ReturnType<typeof kcptunMux>;
  readonly #seal: Promise<PacketSeal & Disposable>;
  #kcp: ReturnType<typeof kcptunKcp> | undefined;
  readonly #codes = openFecCodes();
  readonly #group = new CarrierGroup();
  readonly #scratch = new SnappyScratch();
  readonly #sampler: LinkSampler;
  readonly #dials: DialOutcomes;
  readonly #conn: number;
  readonly #tunnels: (KcptunTunnel | undefined)[];
  #retired: Retired[] = [];
  /** Those whose links are up, or ended a moment ago. */
  #carried: Carried[] = [];
  #look: Timer | undefined;
  #isClosed = false;

  constructor(options: KcptunOptions) {
    const { conn = 1, random, log, clock, metrics } = options;
    if (!Number.isInteger(conn) || conn < 1 || conn > MAX_CONN) {
      throw new CulvertError("bad_option", `Cannot speak as kcptun: conn must be 1 to ${MAX_CONN}, got ${conn}`);
    }
    this.#options = options;
    this.#settings = kcptunSettings("client", options);
    this.#mux = kcptunMux(this.#settings);
    this.#conn = conn;
    this.#tunnels = new Array(conn).fill(undefined);
    this.#sampler = new LinkSampler("kcptun_client", { clock, metrics });
    this.#dials = new DialOutcomes(
      metrics.counter("kcptun_client_dials_total", "Dials through kcptun, by outcome", ["outcome"]),
    );
    const { key, crypt } = this.#settings;
    this.#seal = kcptunKey(key).then((derived) =>
      openPacketSeal({ crypt, key: derived, random, explain: (reason) => log.debug("No libcrypto", { reason }) })
    );
    this.#seal.catch(() => {});
  }

  /** Tunnels that are up, and those that wait for their streams to end. */
  get tunnels(): readonly KcptunTunnel[] {
    return [...this.#tunnels.filter((tunnel) => tunnel !== undefined), ...this.#retired.map(({ tunnel }) => tunnel)];
  }

  get streamCount(): number {
    return this.tunnels.reduce((sum, tunnel) => sum + tunnel.streamCount, 0);
  }

  /** What the last dial has found. */
  get problem(): string | undefined {
    return this.#dials.problem;
  }

  /** Settles when the key is derived and the seal open, for which dials wait as well. */
  async prepared(): Promise<void> {
    await this.#seal;
  }

  get packets(): PacketCounts {
    return this.#sampler.packets;
  }

  /** How the links are that are up. */
  get status(): readonly LinkStatus[] {
    return this.#sampler.status;
  }

  async dial(target: Target, { signal }: DialOptions = {}): Promise<Stream> {
    return await this.#dials.of(this.#dial(target, signal));
  }

  async #dial(target: Target, signal: AbortSignal | undefined): Promise<Stream> {
    const { answerTimeoutMs = 5000 } = this.#options;
    signal?.throwIfAborted();
    const index = this.#leastBusy();
    const tunnel = this.#tunnels[index] ??= this.#newTunnel();
    // A tunnel that nothing was heard on yet has nobody who could have forgotten it.
    const firstMs = tunnel.everHeard ? answerTimeoutMs * FIRST_TRY : answerTimeoutMs;
    const stream = await this.#open(tunnel, target, firstMs, signal);
    if (stream) return stream;
    this.#retire(index, tunnel);
    const second = firstMs < answerTimeoutMs &&
      await this.#open(this.#tunnels[index] ??= this.#newTunnel(), target, answerTimeoutMs - firstMs, signal);
    if (second) return second;
    throw new DialError("path_down", this.#silence());
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#look?.cancel();
    this.#sampler[Symbol.dispose]();
    for (const tunnel of this.tunnels) tunnel.close();
    void Promise.all(this.tunnels.map(({ keeper }) => keeper.done)).then(() => this.#seal).then(
      (seal) => seal[Symbol.dispose](),
      () => {},
    );
  }

  /** Settles when every tunnel and its carrier are closed. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all(this.tunnels.map(({ keeper }) => keeper.done));
    await Promise.all(this.#carried.map(({ carrier }) => carrier[Symbol.asyncDispose]()));
    await this.#seal.catch(() => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A stream on that tunnel; undefined when nobody is heard there in time. */
  async #open(
    tunnel: KcptunTunnel,
    target: Target,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Stream | undefined> {
    const isFresh = tunnel.heardWithin(FRESH_MS);
    const stream = openStream(await this.#connection(tunnel, signal));
    const onAbort = () => stream.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      if (!isFresh && !await tunnel.hears(timeoutMs, signal)) {
        stream.abort();
        return undefined;
      }
      if (this.#options.far === "socks5") await connectSocks5(stream, target);
      return this.#options.halfClose ? stream : new HeldEndStream(stream);
    } catch (error) {
      stream.abort();
      signal?.throwIfAborted();
      if (error instanceof DialError) throw error;
      throw new DialError("path_down", `The tunnel was lost while it dialled: ${messageOf(error)}`, { cause: error });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #connection(tunnel: KcptunTunnel, signal: AbortSignal | undefined): Promise<MuxConnection> {
    if (this.#isClosed) throw new DialError("path_down", "Cannot dial: the tunnel is closed");
    const { connection } = tunnel.keeper;
    if (connection && !connection.closed) return connection;
    try {
      return await orAborted(tunnel.keeper.attempt(), signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw new DialError("path_down", messageOf(error), { cause: error });
    }
  }

  #leastBusy(): number {
    let best = 0;
    for (let index = 0; index < this.#conn; index++) {
      const tunnel = this.#tunnels[index];
      if (!tunnel) return index;
      if (tunnel.streamCount < this.#tunnels[best]!.streamCount) best = index;
    }
    return best;
  }

  #newTunnel(): KcptunTunnel {
    if (this.#isClosed) throw new DialError("path_down", "Cannot dial: the tunnel is closed");
    const { clock, random, log, metrics, host, port } = this.#options;
    this.#look ??= clock.after(LOOK_MS, () => this.#lookAfter());
    return new KcptunTunnel({
      connect: (signal, watch) => this.#connect(signal, watch),
      wrap: (kcp) => this.#wrap(kcp),
      farEnd: formatTarget({ host, port }),
      clock,
      random,
      log,
      metrics,
      mux: this.#mux,
    });
  }

  #wrap(kcp: KcpLink): Link {
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    const { host, port } = this.#options;
    // One that has come too late is closed by whoever asked for it.
    if (!this.#isClosed) this.#sampler.add(kcp, traffic, { client: "", place: () => formatTarget({ host, port }) });
    const link = new CountedLink(kcp, traffic);
    return this.#settings.nocomp ? link : new SnappyLink(link, this.#scratch);
  }

  async #connect(signal: AbortSignal, watch: (seal: PacketSeal) => PacketSeal): Promise<KcpLink> {
    const { clock, random, log, metrics, port } = this.#options;
    const seal = await orAborted(this.#seal, signal);
    const host = await orAborted(addressOf(this.#options.host), signal);
    const peer = { host, port };
    const open = () =>
      this.#options.openCarrier?.(peer, signal) ??
        openCarrier({ kind: "udp", peer: { host, ports: port }, group: this.#group, clock, random, log, metrics });
    let carrier: PacketCarrier | undefined;
    const kcp = this.#kcp ??= kcptunKcp(this.#settings, seal);
    const link = await connectKcp({
      kcp,
      clock,
      random,
      makeSeal: () => watch(seal),
      makeFec: () => new Fec({ codes: this.#codes, shards: kcptunShards(this.#settings), mostBytes: kcp.mtuBytes + 8 }),
      openCarrier: async () => carrier = await open(),
      ...peer,
    }, signal);
    this.#carried.push({ link, carrier: carrier! });
    return link;
  }

  /** No new streams for it; those it has may come to their end. */
  #retire(index: number, tunnel: KcptunTunnel): void {
    if (this.#tunnels[index] !== tunnel) return;
    this.#tunnels[index] = undefined;
    const { clock, scavengettl = 600 } = this.#options;
    this.#retired.push({ tunnel, untilMs: clock.now() + scavengettl * 1000 });
    this.#closeRetired();
  }

  #closeRetired(): void {
    const nowMs = this.#options.clock.now();
    this.#retired = this.#retired.filter(({ tunnel, untilMs }) => {
      if (tunnel.streamCount > 0 && nowMs < untilMs) return true;
      tunnel.close();
      return false;
    });
  }

  #lookAfter(): void {
    const { clock, autoexpire = 0 } = this.#options;
    this.#look = clock.after(LOOK_MS, () => this.#lookAfter());
    this.#tunnels.forEach((tunnel, index) => {
      if (!tunnel) return;
      const isExpired = autoexpire > 0 && clock.now() - tunnel.bornMs >= autoexpire * 1000;
      if (tunnel.look(LOOK_MS) >= SILENT_LOOKS || isExpired) this.#retire(index, tunnel);
    });
    this.#closeRetired();
    this.#carried = this.#carried.filter(({ link }) => !link.isOver);
  }

  #silence(): string {
    const { host, port } = this.#options;
    const { crypt } = this.#settings;
    return `Nothing genuine has come from ${
      formatTarget({ host, port })
    }: no kcptun server is there, UDP does not get ` +
      `through, or its key or crypt is not ours (${crypt}); kcptun answers none of them`;
  }
}

function openStream(connection: MuxConnection): MuxStream {
  try {
    return connection.open();
  } catch (error) {
    if (error instanceof DialError) throw error;
    throw new DialError("path_down", messageOf(error), { cause: error });
  }
}

async function addressOf(host: string): Promise<string> {
  if (parseIp(host)) return host;
  const [address] = await systemLookup(host);
  if (!address) throw new DialError("unresolved", `Cannot find the kcptun server: ${host} has no address`);
  return formatIp(address);
}
