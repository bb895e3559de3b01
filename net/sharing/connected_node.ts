/**
 * A node that is connected: its tunnels, what it has said of itself, and the Path that leads through it.
 *
 *   path.dial → the open tunnel with the fewest streams → request → the node dials → its reply
 *
 * It is from its first tunnel to the end of its last; when the node comes back later that is another one of these, so what
 * belonged to this one cannot be mistaken for what belongs to that.
 */

import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { EgressSummary, NodeStatus, PauseReason } from "../../protocol/sharing/node_messages.ts";
import type { DeviceInfo } from "../../protocol/sharing/records.ts";
import type { Datagrams, DialOptions, Hop, Path, Stream, Target } from "../../protocol/stream.ts";
import type { TunnelRequest } from "../../protocol/tunnel.ts";
import type { MuxConnection } from "../mux.ts";
import { StreamDatagrams } from "../stream_datagrams.ts";
import { openTunnelStream } from "../tunnel_path.ts";
import type { LiveNode } from "./live_nodes.ts";
import type { NodeTunnel } from "./node_tunnel.ts";

/** What is known of a node when it is let in. */
export interface NodeFacts {
  readonly nodeId: string;
  readonly ownerId: string;
  readonly virtualAddress: string;
  readonly region: string;
  readonly country: string | undefined;
  readonly city: string | undefined;
  readonly info: DeviceInfo;
  readonly egress: EgressSummary;
}

export interface ConnectedNodeOptions {
  readonly sessionId: string;
  /** Of the node's program: tunnels of another run are another node's as far as we are concerned. */
  readonly runId: string;
  readonly facts: NodeFacts;
  readonly connectedAtMs: number;
  readonly host: NodeHost;
}

/** What all nodes have in common. */
export interface NodeHost {
  /** False while no node is to be given new streams. */
  takesStreams(): boolean;
  /** This end in trails. */
  hop(rttMs: number | undefined): Hop;
}

/** What a node's session came to. */
export interface NodeSession {
  readonly sessionId: string;
  readonly nodeId: string;
  readonly ownerId: string;
  readonly virtualAddress: string;
  readonly startedAtMs: number;
  /** Bytes of its tunnels, towards the node and from it. */
  readonly upBytes: number;
  readonly downBytes: number;
  /** Asked for so far. */
  readonly streams: number;
}

export class ConnectedNode implements LiveNode {
  readonly sessionId: string;
  readonly runId: string;
  readonly connectedAtMs: number;
  facts: NodeFacts;
  /** What it said last of how it is doing. */
  status: NodeStatus | undefined;
  pausedFor: PauseReason | undefined;
  /** The number of the newest hello that has joined. */
  newestHello = 0;
  readonly #host: NodeHost;
  readonly #tunnels: NodeTunnel[] = [];
  /** Made when it is asked for, as is the path: most of thousands are idle. */
  #gone: AbortController | undefined;
  #goneBecause: string | undefined;
  #path: Path | undefined;
  #endedBytes = { up: 0, down: 0 };
  #dials = 0;

  constructor(options: ConnectedNodeOptions) {
    this.#host = options.host;
    this.sessionId = options.sessionId;
    this.runId = options.runId;
    this.connectedAtMs = options.connectedAtMs;
    this.facts = options.facts;
  }

  get nodeId(): string {
    return this.facts.nodeId;
  }

  get ownerId(): string {
    return this.facts.ownerId;
  }

  get virtualAddress(): string {
    return this.facts.virtualAddress;
  }

  get region(): string {
    return this.facts.region;
  }

  get country(): string | undefined {
    return this.facts.country;
  }

  get city(): string | undefined {
    return this.facts.city;
  }

  get info(): DeviceInfo {
    return this.facts.info;
  }

  get egress(): EgressSummary {
    return this.facts.egress;
  }

  /** Where the newest tunnel comes from. */
  get address(): string {
    return this.#tunnels.at(-1)?.remoteAddress ?? "";
  }

  get isOpen(): boolean {
    return this.#host.takesStreams() && this.pausedFor === undefined && this.#leastBusy() !== undefined;
  }

  get tunnels(): number {
    return this.#tunnels.length;
  }

  get streams(): number {
    return this.#tunnels.reduce((sum, { streamCount }) => sum + streamCount, 0);
  }

  get rttMs(): number | undefined {
    let best: number | undefined;
    for (const { rttMs } of this.#tunnels) if (rttMs !== undefined && !(best! <= rttMs)) best = rttMs;
    return best;
  }

  /** It is the node's, and there as long as that is: whoever has done with it has nothing to close. */
  get path(): Path {
    return this.#path ??= {
      dial: (target, options) => this.#dial(target, options),
      datagrams: (options) => this.#datagrams(options),
      close: () => {},
      [Symbol.dispose]: () => {},
    };
  }

  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    this.#tellGone();
    return this.#gone.signal;
  }

  get session(): NodeSession {
    const { nodeId, ownerId, virtualAddress, sessionId, connectedAtMs: startedAtMs } = this;
    let { up: upBytes, down: downBytes } = this.#endedBytes;
    for (const { traffic } of this.#tunnels) {
      upBytes += traffic.txBytes;
      downBytes += traffic.rxBytes;
    }
    return { sessionId, nodeId, ownerId, virtualAddress, startedAtMs, upBytes, downBytes, streams: this.#dials };
  }

  /** Its tunnels that are up. */
  all(): readonly NodeTunnel[] {
    return this.#tunnels;
  }

  /** Takes a tunnel in; gives the one whose place it has taken. */
  add(tunnel: NodeTunnel): NodeTunnel | undefined {
    const older = this.#tunnels.find(({ index }) => index === tunnel.index);
    if (older) this.remove(older);
    this.#tunnels.push(tunnel);
    return older;
  }

  /** Lets go of a tunnel, if it is one of its own; true when that was the last. */
  remove(tunnel: NodeTunnel): boolean {
    const at = this.#tunnels.indexOf(tunnel);
    if (at < 0) return false;
    this.#tunnels.splice(at, 1);
    this.#endedBytes.up += tunnel.traffic.txBytes;
    this.#endedBytes.down += tunnel.traffic.rxBytes;
    return this.#tunnels.length === 0;
  }

  /** It has gone: whoever waits for it hears so. */
  end(reason: string): void {
    this.#goneBecause = reason;
    this.#tellGone();
  }

  #tellGone(): void {
    if (this.#goneBecause === undefined) return;
    this.#gone?.abort(new CulvertError("gone", `The node has gone: ${this.#goneBecause}`));
  }

  #dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return this.#open({ kind: "stream", target, trail: [] }, options);
  }

  async #datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return new StreamDatagrams(await this.#open({ kind: "datagrams", trail: [] }, options));
  }

  async #open(request: TunnelRequest, { signal, trail }: DialOptions) {
    signal?.throwIfAborted();
    const tunnel = this.isOpen && this.#leastBusy();
    if (!tunnel) throw new DialError("path_down", "Cannot dial: the node takes no streams at present");
    this.#dials++;
    const hops = trail ? [...trail, this.#host.hop(tunnel.rttMs)] : [];
    return await openTunnelStream(tunnel.mux, { ...request, trail: hops }, signal);
  }

  #leastBusy(): (NodeTunnel & { readonly mux: MuxConnection }) | undefined {
    let best: (NodeTunnel & { readonly mux: MuxConnection }) | undefined;
    for (const tunnel of this.#tunnels) {
      if (tunnel.takesStreams() && !(best && best.streamCount <= tunnel.streamCount)) best = tunnel;
    }
    return best;
  }
}
