/**
 * The near end of our own dialect of KCP: a Path whose links are sessions of sealed packets over KCP.
 *
 *   dial → TunnelPath → mux with our extensions → KcpLink → sealed packets → carrier
 *
 * What it adds to `TunnelPath` is what a carrier of packets makes necessary: the server's name is looked up for every link,
 * its clock is remembered, and what happens to the sessions is counted.
 */

import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import { formatIp, parseIp } from "../../protocol/ip.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { formatPorts, type Ports, portSpan } from "../../protocol/port_span.ts";
import type { Random } from "../../protocol/random.ts";
import type { ClientCredential } from "../../protocol/sealed_packets/credentials.ts";
import type { Datagrams, DialOptions, Hop, PacketCounts, Path, Stream, Target } from "../../protocol/stream.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import type { Link } from "../link.ts";
import type { LinkKeeperOptions } from "../link_keeper.ts";
import { PendingDials } from "../pending_dials.ts";
import { openSealCrypto } from "../seal_crypto.ts";
import { TunnelPath } from "../tunnel_path.ts";
import { openCulvertLink, TOLD_SILENCES } from "./culvert_connection.ts";
import { checkSettings, type CulvertKcpSettings } from "./culvert_session.ts";
import type { KcpLink } from "./kcp_link.ts";
import { LinkSampler, type LinkStatus } from "./link_sampler.ts";

export interface CulvertKcpOptions {
  readonly credential: ClientCredential;
  readonly server: { readonly host: string; readonly ports: Ports };
  /** Opens a carrier to that address of the server, from a port of its own. */
  openCarrier(host: string, signal: AbortSignal): Promise<PacketCarrier>;
  readonly settings?: CulvertKcpSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Sessions kept up. Default 1: KCP and the mux fill what there is. */
  readonly links?: number;
  /** Other ports after about so long; 0 for never. Default 30 s. */
  readonly hopMs?: number;
  /** New keys after so long. Default an hour. */
  readonly renewMs?: number;
  /** The addresses of a name. Default: an address only. */
  resolve?(name: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Default: the fastest that this host has. */
  readonly crypto?: WireGuardCrypto;
  readonly mux?: LinkKeeperOptions["mux"];
}

/** How the sessions of a path are. */
export interface CulvertKcpStatus {
  readonly server: string;
  readonly connects: number;
  readonly failures: number;
  /** Why the last attempt failed, when it did. */
  readonly lastFailure: string | undefined;
  /** What the server's clock is ahead of ours. */
  readonly clockBehindMs: number;
  readonly links: readonly LinkStatus[];
}

/** A session that hears nothing is renewed after 2 s; its streams live on while that goes on for this long. */
const KEEP_ALIVE_TIMEOUT_MS = 20_000;
/** Longer than the machine takes to say why it gives up. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A clock that is wrong by less is no news. */
const CLOCK_NEWS_MS = 60_000;

/** Opens a Path through a server of our own dialect. It connects in the background. */
export function openCulvertKcp(options: CulvertKcpOptions): CulvertKcpPath {
  return new CulvertKcpPath(options);
}

export class CulvertKcpPath implements Path {
  readonly #options: CulvertKcpOptions;
  readonly #tunnel: TunnelPath;
  readonly #crypto: Promise<WireGuardCrypto & Partial<Disposable>>;
  readonly #sampler: LinkSampler;
  readonly #closing = new Set<Promise<void>>();
  readonly #pending = new PendingDials();
  /** Sessions that hear nothing although they should. */
  #silent = 0;
  readonly #server: string;
  readonly #connects;
  #counts = { connects: 0, failures: 0 };
  #lastFailure: string | undefined;
  #behindMs = 0;

  constructor(options: CulvertKcpOptions) {
    const { server, clock, metrics, random, log, mux } = options;
    portSpan(server.ports);
    checkSettings(options.settings ?? {});
    this.#options = options;
    this.#server = `${server.host.includes(":") ? `[${server.host}]` : server.host}:${formatPorts(server.ports)}`;
    this.#crypto = options.crypto ? Promise.resolve(options.crypto) : openSealCrypto({
      explain: (reason) => log.debug("No libcrypto", { reason }),
    });
    this.#sampler = new LinkSampler("kcp_client", { clock, metrics });
    this.#connects = metrics.counter("kcp_client_connects_total", "Attempts to reach KCP servers, by outcome", [
      "outcome",
    ]);
    const hop: Hop = { name: "kcp client", at: this.#server, seal: "ChaCha20-Poly1305" };
    this.#tunnel = new TunnelPath({
      clock,
      random,
      log,
      metrics,
      links: options.links ?? 1,
      farEnd: this.#server,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      mux: { keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS, ...mux },
      hop: (rttMs) => ({ ...hop, ...(rttMs !== undefined && { rttMs }) }),
      connect: (signal) => this.#connect(signal),
    });
  }

  get linkCount(): number {
    return this.#tunnel.linkCount;
  }

  get rttMs(): number | undefined {
    return this.#tunnel.rttMs;
  }

  get problem(): string | undefined {
    if (this.#isSilent) return `The server ${this.#server} has fallen silent`;
    if (this.#tunnel.linkCount > 0) return undefined;
    return this.#lastFailure ?? `The server ${this.#server} has not answered yet`;
  }

  get packets(): PacketCounts {
    return this.#sampler.packets;
  }

  get status(): CulvertKcpStatus {
    return {
      server: this.#server,
      ...this.#counts,
      lastFailure: this.#lastFailure,
      clockBehindMs: this.#behindMs,
      links: this.#sampler.status,
    };
  }

  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return this.#pending.run((signal) => this.#tunnel.dial(target, { ...options, signal }), options.signal);
  }

  datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return this.#pending.run((signal) => this.#tunnel.datagrams({ ...options, signal }), options.signal);
  }

  /** Settles when there is a session and the far end has been heard on it. Rejects as `dial` does. */
  ready(signal?: AbortSignal): Promise<void> {
    return this.#tunnel.ready(signal);
  }

  close(): void {
    this.#tunnel.close();
    this.#sampler[Symbol.dispose]();
  }

  async closed(): Promise<void> {
    await this.#tunnel.closed();
    while (this.#closing.size > 0) await Promise.all(this.#closing);
    if (!this.#options.crypto) (await this.#crypto)[Symbol.dispose]?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #connect(signal: AbortSignal): Promise<Link> {
    try {
      const link = await this.#openLink(signal);
      this.#counts.connects++;
      this.#lastFailure = undefined;
      this.#connects.add(1, { outcome: "ok" });
      return link;
    } catch (error) {
      this.#counts.failures++;
      this.#lastFailure = messageOf(error);
      const outcome = error instanceof DialError || error instanceof CulvertError ? error.code : "failed";
      this.#connects.add(1, { outcome });
      throw error;
    }
  }

  async #openLink(signal: AbortSignal): Promise<Link> {
    const { server, clock, random, credential, settings = {}, hopMs, renewMs, log } = this.#options;
    const host = await this.#address(signal);
    const kcp: KcpLink = await openCulvertLink({
      tools: { crypto: await this.#crypto, random },
      credential,
      clockBehindMs: this.#behindMs,
      settings,
      host,
      ports: portSpan(server.ports),
      clock,
      random,
      log,
      openCarrier: (signal) => this.#openCarrier(host, signal),
      closeCarrier: (carrier) => this.#closeCarrier(carrier),
      onClock: (behindMs) => this.#takeClock(behindMs),
      onEvent: (event) => this.#sampler.count(event),
      onSilence: (times) => this.#onSilence(times),
      ...(hopMs !== undefined && { hopMs }),
      ...(renewMs !== undefined && { renewMs }),
    }, signal);
    const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
    this.#sampler.add(kcp, traffic, { client: "", place: () => this.#server });
    return new CountedLink(kcp, traffic);
  }

  get #isSilent(): boolean {
    return this.#silent > 0 && this.#silent >= this.#tunnel.linkCount;
  }

  /** Streams live on for a while, in case it is the way that is gone; dials are told at once. */
  #onSilence(times: number): void {
    if (times === TOLD_SILENCES) this.#silent++;
    else if (times === 0) this.#silent--;
    if (times > 0 && this.#isSilent) this.#pending.fail(new DialError("path_down", this.problem!));
  }

  async #address(signal: AbortSignal): Promise<string> {
    const { server: { host }, resolve, random } = this.#options;
    const literal = parseIp(host);
    if (literal) return formatIp(literal);
    const found = await resolve?.(host, signal) ?? [];
    if (found.length === 0) throw new DialError("unresolved", "Cannot reach the KCP server: its name has no address");
    return found[Math.floor(random.next() * found.length)]!;
  }

  #takeClock(behindMs: number): void {
    const { log } = this.#options;
    if (Math.abs(behindMs) >= CLOCK_NEWS_MS && Math.abs(behindMs - this.#behindMs) >= CLOCK_NEWS_MS) {
      const seconds = Math.round(Math.abs(behindMs) / 1000);
      log.warn("This machine's clock and the server's differ", { server: this.#server, seconds, behind: behindMs > 0 });
    }
    this.#behindMs = behindMs;
  }

  /** What is opened when the path closes is waited for like what is closed then. */
  #openCarrier(host: string, signal: AbortSignal): Promise<PacketCarrier> {
    const opening = this.#options.openCarrier(host, signal);
    this.#track(opening.then(() => {}, () => {}));
    return opening;
  }

  #closeCarrier(carrier: PacketCarrier): void {
    this.#track(closeWell(carrier, this.#options.log));
  }

  #track(task: Promise<void>): void {
    this.#closing.add(task);
    task.finally(() => this.#closing.delete(task));
  }
}

async function closeWell(carrier: PacketCarrier, log: Log): Promise<void> {
  try {
    await carrier[Symbol.asyncDispose]();
  } catch (error) {
    log.debug("A carrier did not close well", { error: messageOf(error) });
  }
}
