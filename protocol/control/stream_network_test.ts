/**
 * Both machines of the control stream against each other: many peers, two supernodes, an hour in which messages take
 * their time, streams are cut, go silent without being cut, and supernodes are restarted.
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Identity } from "../identity.ts";
import { AuthLimits } from "./auth_limits.ts";
import { CommandQueue } from "./command_queue.ts";
import { idOf, WALL_MS } from "./fixtures/people.ts";
import { madeUpPrimitives as primitives } from "./fixtures/made_up_primitives.ts";
import { ADDRESS } from "./fixtures/stream_rig.ts";
import type { ControlMessage } from "./messages.ts";
import { Nonces } from "./nonces.ts";
import { StreamClient, type StreamClientAction } from "./stream_client.ts";
import { StreamServer, type StreamServerAction, type StreamServerContext } from "./stream_server.ts";

const PEERS = 40;
const HOUR_MS = 3_600_000;

/** One connection: its far ends, and whether it is cut, or swallows what is put into it. */
interface Wire {
  readonly client: Peer;
  readonly supernode: Supernode;
  readonly stream: StreamServer;
  isCut: boolean;
  isSilent: boolean;
}

class Simulation {
  readonly random: SeededRandom;
  nowMs = 0;
  #later: { atMs: number; act: () => void }[] = [];
  readonly supernodes: Supernode[] = [];
  readonly peers: Peer[] = [];

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    for (let at = 0; at < 2; at++) this.supernodes.push(new Supernode(this, this.identity()));
    for (let at = 0; at < PEERS; at++) this.peers.push(new Peer(this, this.identity()));
  }

  identity(): Identity {
    const key = () => this.random.fill(new Uint8Array(32));
    return new Identity({ identityKey: key(), wireguardKey: key() }, primitives);
  }

  soon(act: () => void): void {
    this.#later.push({ atMs: this.nowMs + 5 + this.random.next() * 95, act });
  }

  /** Steps of a tenth of a second: coarse for a wire, fine for timers of seconds. */
  run(untilMs: number, each: () => void = () => {}): void {
    for (; this.nowMs < untilMs; this.nowMs += 100) {
      each();
      const due = this.#later.filter(({ atMs }) => atMs <= this.nowMs);
      this.#later = this.#later.filter(({ atMs }) => atMs > this.nowMs);
      for (const { act } of due) act();
      for (const peer of this.peers) if (this.nowMs >= peer.machine.nextWakeAtMs) peer.wake();
      for (const supernode of this.supernodes) supernode.sweep();
    }
  }
}

class Supernode {
  readonly #simulation: Simulation;
  readonly identity: Identity;
  readonly wires = new Map<string, Wire>();
  readonly queues = new Map<string, CommandQueue>();
  readonly ends = new Map<string, number>();
  /** Commands that were given up. */
  readonly failed: string[] = [];
  isUp = true;
  #context: StreamServerContext;

  constructor(simulation: Simulation, identity: Identity) {
    this.#simulation = simulation;
    this.identity = identity;
    this.#context = this.#freshContext();
  }

  get address() {
    return { url: `wss://${this.identity.peerId}.example/control`, supernodeId: this.identity.peerId };
  }

  /** Killed, and up again with nothing but its stored queues. */
  restart(): void {
    for (const wire of this.wires.values()) cut(wire, this.#simulation);
    this.wires.clear();
    this.#context = this.#freshContext();
    for (const [peerId, queue] of this.queues) {
      this.queues.set(peerId, CommandQueue.restore(queue.snapshot(), this.#context, this.#simulation.nowMs)!);
    }
  }

  open(): StreamServer {
    return new StreamServer(this.#context, ADDRESS, this.#simulation.nowMs);
  }

  queueOf(peerId: string): CommandQueue {
    let queue = this.queues.get(peerId);
    if (!queue) this.queues.set(peerId, queue = new CommandQueue(this.#context));
    return queue;
  }

  sweep(): void {
    const { nowMs } = this.#simulation;
    for (const wire of this.wires.values()) {
      if (nowMs >= wire.stream.nextWakeAtMs) this.perform(wire, wire.stream.wake(nowMs));
    }
  }

  perform(wire: Wire, actions: readonly StreamServerAction[]): void {
    for (const action of actions) {
      if (action.kind === "send") this.#send(wire, action.message);
      if (action.kind === "failed") this.failed.push(action.command.commandId);
      if (action.kind === "close") {
        this.ends.set(action.reason, (this.ends.get(action.reason) ?? 0) + 1);
        if (this.wires.get(wire.client.identity.peerId) === wire) this.wires.delete(wire.client.identity.peerId);
        cut(wire, this.#simulation);
      }
      if (action.kind === "proven") {
        const older = this.wires.get(action.peer.peerId);
        if (older) this.perform(older, older.stream.end("replaced"));
        this.wires.set(action.peer.peerId, wire);
        const queue = this.queueOf(action.peer.peerId);
        this.perform(wire, wire.stream.accept({ queue }, this.#simulation.nowMs));
      }
    }
  }

  #send(wire: Wire, message: ControlMessage): void {
    const text = JSON.stringify(message);
    this.#simulation.soon(() => {
      if (!wire.isSilent && wire.client.wire === wire) {
        wire.client.perform(wire.client.machine.receive(text, this.#simulation.nowMs));
      }
    });
  }

  #freshContext(): StreamServerContext {
    const { random } = this.#simulation;
    const generous = { perSecond: 1000, burst: 1000 };
    return {
      identity: this.identity,
      region: "eu",
      primitives,
      nonces: new Nonces(),
      limits: new AuthLimits(random, { address: generous, peer: generous }),
      wallNow: () => WALL_MS + this.#simulation.nowMs,
    };
  }
}

class Peer {
  readonly #simulation: Simulation;
  readonly identity: Identity;
  readonly machine: StreamClient;
  wire: Wire | undefined;
  readonly applied: string[] = [];

  constructor(simulation: Simulation, identity: Identity) {
    this.#simulation = simulation;
    this.identity = identity;
    this.machine = new StreamClient({
      identity,
      role: "exit",
      region: "eu",
      supernodes: simulation.supernodes.map(({ address }) => address),
      primitives,
      random: simulation.random,
      wallNow: () => WALL_MS + simulation.nowMs,
    });
    this.perform(this.machine.start(0));
  }

  wake(): void {
    this.perform(this.machine.wake(this.#simulation.nowMs));
  }

  perform(actions: readonly StreamClientAction[]): void {
    const simulation = this.#simulation;
    for (const action of actions) {
      if (action.kind === "connect") this.#connect(action.supernode.supernodeId);
      if (action.kind === "disconnect" && this.wire) cut(this.wire, simulation);
      if (action.kind === "send") this.#send(action.message);
      if (action.kind === "command") {
        const { commandId } = action.command;
        if (!this.applied.includes(commandId)) this.applied.push(commandId);
        this.#send({ type: "command.result", commandId, status: "applied" });
      }
    }
  }

  #connect(supernodeId: string): void {
    const simulation = this.#simulation;
    const supernode = simulation.supernodes.find(({ identity }) => identity.peerId === supernodeId)!;
    const wire: Wire = { client: this, supernode, stream: supernode.open(), isCut: false, isSilent: false };
    this.wire = wire;
    simulation.soon(() => {
      if (this.wire !== wire || wire.isCut) return;
      if (supernode.isUp) this.perform(this.machine.connected(simulation.nowMs));
      else cut(wire, simulation);
    });
  }

  #send(message: ControlMessage): void {
    const { wire } = this;
    const text = JSON.stringify(message);
    this.#simulation.soon(() => {
      if (wire && !wire.isSilent && !wire.isCut) {
        wire.supernode.perform(wire, wire.stream.receive(text, this.#simulation.nowMs));
      }
    });
  }
}

/** Both ends learn of it, unless the wire has gone silent: then each finds out by itself. */
function cut(wire: Wire, simulation: Simulation): void {
  if (wire.isCut) return;
  wire.isCut = true;
  simulation.soon(() => {
    wire.stream.closed();
    const { client } = wire;
    if (client.wire === wire && !wire.isSilent) client.perform(client.machine.closed(simulation.nowMs));
  });
}

function openPeers(simulation: Simulation): number {
  return simulation.peers.filter(({ machine }) => machine.state === "open").length;
}

Deno.test("without faults every stream opens once and none is ever dropped", () => {
  const simulation = new Simulation(1);
  simulation.run(5_000);
  assertEquals(openPeers(simulation), PEERS);
  simulation.run(HOUR_MS / 4);
  assertEquals(openPeers(simulation), PEERS);
  assertEquals(simulation.supernodes.map(({ ends }) => [...ends.keys()]), [[], []]);
});

Deno.test("after an hour of cuts, silences and restarts everyone is back and every command has arrived, in order", () => {
  const seed = 2;
  const simulation = new Simulation(seed);
  const { random, peers, supernodes } = simulation;
  const ordered = new Map<Peer, Map<Supernode, string[]>>(peers.map((peer) => [peer, new Map()]));
  let number = 0;
  simulation.run(HOUR_MS, () => {
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)]!;
    const peer = pick(peers);
    if (random.next() < 0.005 && peer.wire) cut(peer.wire, simulation);
    if (random.next() < 0.002 && peer.wire) peer.wire.isSilent = true;
    if (random.next() < 0.0003) pick(supernodes).restart();
    const supernode = peer.wire?.supernode;
    if (random.next() < 0.05 && supernode && peer.machine.state === "open") {
      const commandId = idOf(++number);
      const order = { commandId, kind: "DISCONNECT", payload: { reason: "admin" }, timeoutMs: 2 * HOUR_MS } as const;
      const actions = supernode.queueOf(peer.identity.peerId).push(order, simulation.nowMs);
      if (!actions) return;
      const wire = supernode.wires.get(peer.identity.peerId);
      if (wire) supernode.perform(wire, actions);
      const bySupernode = ordered.get(peer)!;
      bySupernode.set(supernode, [...bySupernode.get(supernode) ?? [], commandId]);
    }
  });
  // Each is sent to each supernode once, so that what waits at either is delivered.
  for (const supernode of [...supernodes, supernodes[0]!]) {
    for (const peer of peers) peer.perform(peer.machine.moveTo([supernode.address], simulation.nowMs));
    simulation.run(simulation.nowMs + 240_000);
    assertEquals(openPeers(simulation), PEERS, `seed ${seed}`);
    assertEquals(supernode.wires.size, PEERS);
  }
  for (const [peer, bySupernode] of ordered) {
    for (const ids of bySupernode.values()) {
      assertEquals(peer.applied.filter((id) => ids.includes(id)), ids, `seed ${seed}`);
    }
  }
  assertEquals(supernodes.flatMap(({ failed }) => failed), []);
  assert(number > 1000 && supernodes.some(({ ends }) => (ends.get("timeout") ?? 0) > 0));
});

Deno.test("all the peers of a supernode that went away are back within seconds of its return", () => {
  const simulation = new Simulation(3);
  simulation.run(60_000);
  const [supernode] = simulation.supernodes;
  for (const { isUp } of simulation.supernodes) assert(isUp);
  for (const each of simulation.supernodes) {
    each.restart();
    each.isUp = false;
  }
  simulation.run(120_000);
  assertEquals(openPeers(simulation), 0);
  supernode!.isUp = true;
  const upAtMs = simulation.nowMs;
  while (openPeers(simulation) < PEERS) simulation.run(simulation.nowMs + 1000);
  assertLess(simulation.nowMs - upAtMs, 60_000);
});
