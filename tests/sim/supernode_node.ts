/**
 * A supernode: the real one, with sockets and requests from the simulated network and stores that outlive its program.
 */

import { type BlockStore, createMemoryBlocks } from "../../kv/blocks.ts";
import { createMemoryQueues, type QueueStore } from "../../kv/commands.ts";
import { createMemoryNonces, type NonceStore } from "../../kv/nonces.ts";
import { createMemoryRelayAddresses, type RelayAddressStore } from "../../kv/relay_addresses.ts";
import { createMemorySessions, type SessionStore } from "../../kv/sessions.ts";
import { aborted } from "../../protocol/abort.ts";
import { delay } from "../../protocol/clock.ts";
import { DirectoryClient } from "../../net/directory_client.ts";
import type { SupernodeAddress } from "../../protocol/control/commands.ts";
import { encodeBase64 } from "../../protocol/encoding.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { BaseMembership } from "../../roles/supernode/base_membership.ts";
import type { HeldLink } from "../../roles/supernode/data_links.ts";
import type { LinkTarget } from "../../roles/supernode/supernode_links.ts";
import { Supernode } from "../../roles/supernode/supernode.ts";
import { BASE_URL } from "./base_node.ts";
import { type EndKind, type Host, Pipe, type Program } from "./network.ts";
import type { World } from "./world.ts";

/** As in `roles/supernode.ts`. */
const CLIENT_GRACE_MS = 60_000;

export interface Place {
  readonly name: string;
  readonly region: string;
}

export class SupernodeNode {
  readonly name: string;
  readonly region: string;
  readonly identity: Identity;
  readonly host: Host;
  readonly address: SupernodeAddress;
  readonly #world: World;
  readonly #stores: {
    readonly queues: QueueStore;
    readonly sessions: SessionStore;
    readonly nonces: NonceStore;
    readonly blocks: BlockStore;
    readonly relayAddresses: RelayAddressStore;
  };
  /** The newest of every peer. */
  readonly #pipes = new Map<string, Pipe>();
  /** Of the run under way; undefined while it is down or reads its stores. */
  running: Supernode | undefined;
  /** When it last came up, or went down. */
  changedMs = 0;

  /** All supernodes, by name. */
  readonly #supernodes: Map<string, SupernodeNode>;

  constructor(world: World, { name, region }: Place, supernodes: Map<string, SupernodeNode>) {
    this.#supernodes = supernodes.set(name, this);
    this.#world = world;
    this.name = name;
    this.region = region;
    this.identity = new Identity(generateSecrets(world.random), world.primitives);
    this.host = world.network.host(name, region);
    this.address = { url: `https://${name}.sim/`, supernodeId: this.identity.peerId };
    this.#stores = {
      queues: world.commands.watch(createMemoryQueues(world.clock), this.supernodeId),
      sessions: createMemorySessions(world.clock),
      nonces: createMemoryNonces(world.clock),
      blocks: createMemoryBlocks(),
      relayAddresses: createMemoryRelayAddresses(world.clock),
    };
  }

  get supernodeId(): string {
    return this.identity.peerId;
  }

  get isUp(): boolean {
    return this.running !== undefined;
  }

  async start(): Promise<void> {
    const { network, slots, trace, clock } = this.#world;
    const program = network.start(this.host, slots.program());
    const directory = this.#directory(program);
    const supernode = await this.#open(program, directory);
    program.accept = (socket, remoteAddress) =>
      supernode.streams.makeRoom()
        ? supernode.streams.serve(socket, { remoteAddress, settled() {} })
        : socket[Symbol.dispose]();
    program.answer = async (request, remoteAddress) => await supernode.answer(request, remoteAddress);
    this.running = supernode;
    this.changedMs = clock.now();
    trace.add(this.name, "supernode is up", { supernode_id: this.supernodeId });
    const membership = this.#membership(program, directory, supernode);
    supernode.onExits = () => membership.hurry();
    void membership.run(new AbortController().signal);
  }

  kill(kind: EndKind): void {
    const { network, trace, clock } = this.#world;
    if (!this.host.program) return;
    network.end(this.host.program, kind);
    this.running = undefined;
    this.#pipes.clear();
    this.changedMs = clock.now();
    trace.add(this.name, `supernode is killed (${kind})`, { supernode_id: this.supernodeId });
  }

  /** Holds a peer's data link, if the token is good. */
  hold(token: string, pipe: Pipe): boolean {
    const holder = this.running?.tokens.redeem(token);
    if (!holder) return false;
    this.running!.links.hold(holder, new HeldPipe(pipe, pipe.far));
    this.#pipes.set(holder.id, pipe);
    return true;
  }

  /** The pipe to a peer that is connected here, if bytes would come through. */
  wholePipeTo(peerId: string): Pipe | undefined {
    const pipe = this.#pipes.get(peerId);
    return pipe?.isWhole && pipe.far.clock.isRunning ? pipe : undefined;
  }

  #open(program: Program, directory: DirectoryClient): Promise<Supernode> {
    const { random, primitives, commands, settings, network } = this.#world;
    const { pingEveryMs, timeoutMs, sweepEveryMs, linkProbeEveryMs: probeEveryMs, lookEveryMs, peers } = settings;
    const disk = <T extends object>(store: T) => this.#world.disk(store, program);
    const { queues, sessions, nonces, blocks, relayAddresses } = this.#stores;
    return Supernode.open({
      identity: this.identity,
      region: this.region,
      stores: {
        queues: disk(queues),
        sessions: disk(sessions),
        nonces: disk(nonces),
        blocks,
        relayAddresses: disk(relayAddresses),
      },
      directory,
      fetch: (request) => network.request(program, request),
      maxStreams: Math.max(64, Math.ceil(4 * peers / settings.supernodes)),
      pace: { pingEveryMs, timeoutMs, sweepEveryMs, probeEveryMs, lookEveryMs },
      linkParts: {
        dial: (target, signal) => this.#dial(program, target, signal),
        probe: probePipe,
      },
      maxLinks: peers,
      clientGraceMs: CLIENT_GRACE_MS,
      onCommandEnd: (peerId, end) => commands.ended(this.supernodeId, peerId, end),
      primitives,
      clock: program.clock,
      random,
      log: this.#world.logOf(this.name),
      metrics: noMetrics,
    });
  }

  /** A data link to another supernode. */
  async #dial(program: Program, { url, token }: LinkTarget, signal: AbortSignal): Promise<HeldPipe> {
    const { network } = this.#world;
    const far = this.#supernodes.get(network.find(url)?.name ?? "");
    if (!far) throw new TypeError("No such host");
    await delay(program.clock, 2 * network.latencyMs(this.region, far.region), signal);
    if (network.isCut(this.region, far.region)) await aborted(signal);
    signal.throwIfAborted();
    if (!far.isUp) throw new TypeError("Connection refused");
    const pipe = new Pipe(network, program, far.host.program!);
    const link = new HeldPipe(pipe, program);
    if (far.hold(token, pipe)) return link;
    pipe.fail(0);
    throw new TypeError("The token is not good");
  }

  #directory(program: Program): DirectoryClient {
    const { network, random, primitives } = this.#world;
    return new DirectoryClient({
      bases: [BASE_URL],
      signer: this.identity,
      clock: program.clock,
      random,
      primitives,
      log: this.#world.logOf(this.name),
      fetch: (request) => network.request(program, request),
    });
  }

  #membership(program: Program, directory: DirectoryClient, supernode: Supernode): BaseMembership {
    const { random } = this.#world;
    return new BaseMembership({
      directory,
      registration: () => ({
        supernodeId: this.supernodeId,
        publicKey: encodeBase64(this.identity.publicKey),
        region: this.region,
        url: this.address.url,
        maxStreams: 1000,
        version: "0.0.0",
      }),
      status: () => supernode.status,
      clock: program.clock,
      random,
      log: this.#world.logOf(this.name),
    });
  }
}

/** A data link, as a supernode at either end holds it. */
export class HeldPipe implements HeldLink {
  readonly pipe: Pipe;
  readonly rttMs = 20;
  readonly ended: Promise<void>;
  closed = false;

  constructor(pipe: Pipe, end: Program) {
    this.pipe = pipe;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    pipe.whenEnded(end, () => {
      this.closed = true;
      resolve();
    });
  }

  open(): never {
    throw new Error("Cannot open a stream: a simulated link carries none");
  }

  close(): void {
    this.pipe.fail(0);
  }
}

/** As `probeLink`: answered when bytes come through, else waited for in vain. */
async function probePipe(link: HeldLink, signal: AbortSignal): Promise<void> {
  if (!(link instanceof HeldPipe && link.pipe.isWhole)) await aborted(signal);
  signal.throwIfAborted();
}
