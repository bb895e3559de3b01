/**
 * What a session costs an upstream and a downstream in memory: each as a process, the clients and a central here.
 *
 *   base ◀─ upstream ◀─ many clients, each sending        downstream ─▶ many listeners, each getting as much
 *                 └─▶ central ─▶ ┘                        downstream ─▶ listeners that never read
 *
 * Resident memory is compared with that after a few sessions have passed, so that what the program itself takes does not
 * count.
 */

import { BufferPool } from "../net/buffer_pool.ts";
import { DirectoryClient } from "../net/directory_client.ts";
import { HopPeer, hopPort } from "../net/fragments/fixtures/hops.ts";
import { HopLink } from "../net/fragments/hop_link.ts";
import { MessageSocket } from "../net/message_socket.ts";
import { type DialledWebsocket, dialWebsocket, websocketAddress } from "../net/websocket_dial.ts";
import { clockOf, delay } from "../protocol/clock.ts";
import { downAlias, peerIdBytes } from "../protocol/fragment/aliases.ts";
import {
  CLIENT_HEAD_BYTES,
  HOP_HEAD_BYTES,
  MessageKind,
  writeClientHead,
  writeHopHead,
} from "../protocol/fragment/messages.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { Processes, type RoleProcess } from "../tests/chaos/fixtures/processes.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

export interface RelaySessionMemory {
  /** Growth of resident memory per session that is in use. */
  readonly upstreamKibPerSession: number;
  readonly downstreamKibPerSession: number;
  /** The same for one whose client never reads, while central posts. */
  readonly deafKibPerSession: number;
}

export interface RelaySessionMemoryOptions {
  /** Default 500. */
  readonly sessions?: number;
  /** Of each session. Default 1 MiB. */
  readonly bytes?: number;
}

const MESSAGE_BYTES = 64 * 1024;
const WARM_SESSIONS = 50;
const DEAF_SESSIONS = 100;
const QUIET_MS = 500;

/** Takes some ten seconds with 500 sessions. */
export async function measureRelaySessionMemory(
  { sessions = 500, bytes = 2 ** 20 }: RelaySessionMemoryOptions = {},
): Promise<RelaySessionMemory> {
  await using world = await World.start();
  const work = { count: sessions, bytes };
  const upstreamKibPerSession = await growth(world.upstream, work, (some) => world.send(some));
  const downstreamKibPerSession = await growth(world.downstream, work, (some) => world.deliver(some));
  const deaf = { count: DEAF_SESSIONS, bytes: 2 * bytes };
  const deafKibPerSession = await growth(world.downstream, deaf, (some) => world.deliverToNobody(some));
  return { upstreamKibPerSession, downstreamKibPerSession, deafKibPerSession };
}

interface Work {
  readonly count: number;
  readonly bytes: number;
}

/** KiB for each; `use` leaves its sessions open until what it gives is disposed of. */
async function growth(relay: RoleProcess, work: Work, use: (work: Work) => Promise<Disposable>): Promise<number> {
  using _warm = await use({ ...work, count: WARM_SESSIONS });
  const before = await relay.program.settledRssKib();
  using _sessions = await use(work);
  return (await relay.program.settledRssKib() - before) / work.count;
}

class World implements AsyncDisposable {
  readonly upstream: RoleProcess;
  readonly downstream: RoleProcess;
  readonly #central: HopPeer;
  readonly #held: AsyncDisposableStack;
  readonly #pool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #stop = new AbortController();
  #hop: HopLink | undefined;
  #arrivedBytes = 0;

  private constructor(
    parts: { readonly upstream: RoleProcess; readonly downstream: RoleProcess; readonly central: HopPeer },
    held: AsyncDisposableStack,
  ) {
    this.upstream = parts.upstream;
    this.downstream = parts.downstream;
    this.#central = parts.central;
    this.#held = held;
  }

  static async start(): Promise<World> {
    await using held = new AsyncDisposableStack();
    const processes = held.use(new Processes());
    const base = await processes.start("base", "base", ["--listen", "127.0.0.1:0", "--kv", ":memory:"]);
    const baseUrl = `http://${base.addresses["listen"]}/`;
    const flags = [
      "--listen",
      "127.0.0.1:0",
      "--base",
      baseUrl,
      "--max-per-address",
      "10000",
      "--attempt-rate",
      "10000",
    ];
    const central = new HopPeer();
    const links = held.use(new DisposableStack());
    const onBytes: { take: (count: number) => void } = { take: () => {} };
    const port = held.use(hopPort((stream, first, settled) => {
      settled();
      void HopLink.accept(
        { stream, first },
        {
          acceptorId: central.id,
          identify: () => true,
          refresh: () => Promise.resolve(),
          welcome: (link) => {
            links.use(link);
            return { onMessage: (message) => onBytes.take(message.length - HOP_HEAD_BYTES), onClose() {} };
          },
        },
        central.tools,
        new AbortController().signal,
      );
    }));
    using directory = new DirectoryClient({
      bases: [new URL(baseUrl)],
      signer: central.identity,
      clock,
      random,
      primitives,
    });
    const { registeredAtMs: _at, expiresAtMs: _until, ...registration } = central.record("central", port.url);
    await directory.registerRelay(registration);
    const upstream = await processes.start("upstream", "upstream", flags);
    const downstream = await processes.start("downstream", "downstream", [...flags, "--kv", ":memory:"]);
    const world = new World({ upstream, downstream, central }, held.move());
    onBytes.take = (count) => world.#arrivedBytes += count;
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#hop?.[Symbol.dispose]();
    await this.#held[Symbol.asyncDispose]();
  }

  /** Clients that all send at once. */
  async send({ count, bytes }: Work): Promise<Disposable> {
    const held = new DisposableStack();
    const clients: MessageSocket[] = [];
    const heads: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const socket = held.use(await this.#socket(this.upstream, "v1/fragments"));
      socket.start({ onMessage() {}, onClose() {} });
      clients.push(socket);
      const head = new Uint8Array(CLIENT_HEAD_BYTES);
      const alias = random.fill(new Uint8Array(16));
      writeClientHead(head, { kind: MessageKind.DATA, centralId: peerIdBytes(this.#central.id)!, alias });
      heads.push(head);
    }
    const body = new Uint8Array(MESSAGE_BYTES);
    for (let sent = 0; sent < bytes; sent += MESSAGE_BYTES) {
      clients.forEach((client, index) => client.send(heads[index]!, body));
      await this.#settled(() => this.#arrivedBytes);
    }
    return held;
  }

  /** Listeners that all get something at once. */
  async deliver({ count, bytes }: Work): Promise<Disposable> {
    const held = new DisposableStack();
    const aliases: Uint8Array[] = [];
    let got = 0;
    for (let index = 0; index < count; index++) {
      const claim = random.fill(new Uint8Array(32));
      const socket = held.use(await this.#socket(this.downstream, "v1/mailbox"));
      socket.start({ onMessage: (message) => got += message.length, onClose() {} });
      socket.send(claim);
      aliases.push(downAlias(claim, primitives));
    }
    await this.#post(aliases, bytes, () => got);
    return held;
  }

  /** Listeners that say their claim and never read. */
  async deliverToNobody({ count, bytes }: Work): Promise<Disposable> {
    const held = new DisposableStack();
    const aliases: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const claim = random.fill(new Uint8Array(32));
      const { stream } = await this.#dial(this.downstream, "v1/mailbox");
      held.defer(() => stream.close());
      // A masked frame whose mask is zero.
      await stream.write(Uint8Array.of(0x82, 0x80 | claim.length, 0, 0, 0, 0, ...claim));
      aliases.push(downAlias(claim, primitives));
    }
    await this.#post(aliases, bytes, () => 0);
    return held;
  }

  async #post(aliases: readonly Uint8Array[], bytes: number, got: () => number): Promise<void> {
    const hop = this.#hop ??= await HopLink.dial(
      {
        address: websocketAddress(new URL(`http://${this.downstream.addresses["listen"]}/v1/hop`)),
        acceptorId: this.downstream.peerId,
        sealingKey: await this.#sealingKeyOfDownstream(),
        welcome: () => ({ onMessage() {}, onClose() {} }),
      },
      this.#central.tools,
      this.#stop.signal,
    );
    const body = new Uint8Array(MESSAGE_BYTES);
    const head = new Uint8Array(HOP_HEAD_BYTES);
    for (let sent = 0; sent < bytes; sent += MESSAGE_BYTES) {
      for (const alias of aliases) {
        writeHopHead(head, MessageKind.DATA, alias);
        while (!hop.isWritable) await delay(clock, 1);
        hop.send(head, body);
      }
      await this.#settled(got);
    }
  }

  async #sealingKeyOfDownstream(): Promise<Uint8Array<ArrayBuffer>> {
    const { StateDirectory } = await import("../roles/state.ts");
    const { loadIdentity } = await import("../roles/identity_store.ts");
    const identity = await loadIdentity(await StateDirectory.open(this.downstream.stateDir), primitives);
    return identity!.wireguardPublicKey;
  }

  #dial(relay: RoleProcess, path: string): Promise<DialledWebsocket> {
    const address = websocketAddress(new URL(`http://${relay.addresses["listen"]}/${path}`));
    return dialWebsocket(address, { random, signal: this.#stop.signal });
  }

  async #socket(relay: RoleProcess, path: string): Promise<MessageSocket> {
    const { stream, first } = await this.#dial(relay, path);
    return new MessageSocket(stream, { clock, pool: this.#pool, first, random });
  }

  /** Until the number has stood still for a moment: some of it may have been dropped. */
  async #settled(read: () => number): Promise<void> {
    let last = -1;
    for (let stillMs = 0; stillMs < QUIET_MS / 10; stillMs += 10) {
      await delay(clock, 10);
      if (read() === last) continue;
      last = read();
      stillMs = 0;
    }
  }
}

if (import.meta.main) {
  const [sessions] = Deno.args;
  console.log(JSON.stringify(await measureRelaySessionMemory(sessions ? { sessions: Number(sessions) } : {})));
}
