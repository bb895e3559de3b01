/** Both bridges under a fake clock, joined by packets that arrive at once, with nothing but memory at either end. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { silentLog } from "../../protocol/log.ts";
import type { CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { ClientTable } from "../../protocol/sealed_packets/clients.ts";
import { drawSecretText, parseNamedSecret, parseServerKey } from "../../protocol/sealed_packets/credentials.ts";
import { Slab } from "../../protocol/slab.ts";
import { ClientGate } from "../../protocol/vtcp/client_gate.ts";
import { ServerGate } from "../../protocol/vtcp/server_gate.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { BridgeNews } from "./bridge_messages.ts";
import { ClientBridge } from "./client_bridge.ts";
import { ServerBridge } from "./server_bridge.ts";

const HOUR_MS = 3_600_000;
const RECOVERED_MS = 5000;
const SERVER = placeOf("192.0.2.1", 45_000);
const HOME = placeOf("198.51.100.7", 40_000);
const MOVED = placeOf("198.51.100.8", 40_001);
const QUIC = placeOf("127.0.0.1", 1);
/** Short, so that nothing takes it for a hello. */
const PACKET = Uint8Array.of(0x40, 1, 2, 3);

function placeOf(host: string, port: number): PacketPlace {
  return { host, port, key: `${host}:${port}` };
}

class TestCarrier implements PacketCarrier {
  readonly maxPayloadBytes = 1472;
  readonly localPorts = [1];
  readonly counters = { sentPackets: 0, receivedPackets: 0, lostPackets: 0 };
  readonly slab = new Slab(4096);
  onSent: (packet: Bytes, to: PacketPlace) => void = () => {};
  #handlers: CarrierHandlers | undefined;

  start(handlers: CarrierHandlers): void {
    this.#handlers = handlers;
  }

  give(packet: Uint8Array, from: PacketPlace): void {
    const slab = new Slab(2048);
    slab.bytes.set(packet);
    this.counters.receivedPackets++;
    this.#handlers!.onPacket(slab, 0, packet.length, from);
    this.#handlers!.onTurn();
  }

  place(host: string, port: number): PacketPlace {
    return placeOf(host, port);
  }

  reserve(): number {
    return 0;
  }

  commit(length: number, to: PacketPlace): void {
    this.counters.sentPackets++;
    this.onSent(this.slab.bytes.slice(0, length), to);
  }

  flush(): void {}

  close(): void {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

class TestLocal {
  readonly carrier = new TestCarrier();
  place = () => QUIC;
  placeOf = (index: number) => placeOf(this.addressOf(index), 1);
  indexOf = ({ host }: PacketPlace) => Number(host.split(".")[3]);
  addressOf = (index: number) => `127.64.0.${index}`;
}

class Rig implements Disposable {
  #seed = 10;
  readonly clock = new FakeClock();
  readonly key = parseServerKey(portableWireGuardCrypto, drawSecretText(new SeededRandom(1)));
  readonly secret = parseNamedSecret(`one=${drawSecretText(new SeededRandom(2))}`);
  readonly clients = new ClientTable(portableWireGuardCrypto, this.key, [this.secret]);
  readonly clientLocal = new TestLocal();
  readonly clientRemote = new TestCarrier();
  readonly clientNews: BridgeNews[] = [];
  readonly serverNews: BridgeNews[] = [];
  /** What QUIC was given at either end, and from whom at the server. */
  readonly quic = { client: 0, server: [] as string[] };
  local = new TestLocal();
  remote = new TestCarrier();
  /** What the client has said hello with. */
  readonly hellos: Bytes[] = [];
  clientPlace = HOME;
  isCut = false;
  server = this.serve();
  readonly client: ClientBridge;

  /** `secret`: of the client; default the one that the server knows. */
  constructor(secret?: Bytes) {
    this.clock.advance(1);
    this.clientLocal.carrier.onSent = () => void this.quic.client++;
    this.clientRemote.onSent = (packet) => {
      if (packet.length > PACKET.length) this.hellos.push(packet);
      if (!this.isCut) this.remote.give(packet, this.clientPlace);
    };
    const peer = { host: SERVER.host, ports: SERVER.port };
    this.client = new ClientBridge({ side: "client", carrier: { kind: "udp", peer }, quicPort: 1 }, {
      local: this.clientLocal,
      remote: this.clientRemote,
      gate: this.gate(secret),
      clock: this.clock,
      random: new SeededRandom(3),
      tell: (news) => this.clientNews.push(news),
      onFailure: fail,
    });
  }

  gate(secret: Bytes = this.secret.secret): ClientGate {
    const credential = { serverPublicKey: this.key.publicKey, secret };
    return new ClientGate(this.#tools(), credential, this.clock);
  }

  serve(maxClients = 16): ServerBridge {
    const { clock, clients, key: server } = this;
    const local = this.local = new TestLocal(), remote = this.remote = new TestCarrier();
    local.carrier.onSent = (_packet, { host }) => void this.quic.server.push(host);
    remote.onSent = (packet, to) => {
      if (!this.isCut && to.key === this.clientPlace.key) this.clientRemote.give(packet, SERVER);
    };
    const gate = new ServerGate(this.#tools(), { server, clients, certificateKey: new Uint8Array(32), clock });
    return this.server = new ServerBridge(
      { side: "server", carrier: { kind: "udp" }, quicPort: 1, maxClients, idleMs: 60_000 },
      { local, remote, gate, clock, log: silentLog, tell: (news) => this.serverNews.push(news), onFailure: fail },
    );
  }

  /** QUIC sends at the client until something comes back; gives how long that took. */
  recover(): number {
    const beganMs = this.clock.now(), before = this.quic.client;
    while (this.quic.client === before) {
      assert(this.clock.now() - beganMs < 2 * RECOVERED_MS, "nothing came back");
      const heard = this.quic.server.length;
      this.clientLocal.carrier.give(PACKET, QUIC);
      const address = this.quic.server.at(-1);
      if (this.quic.server.length > heard) this.local.carrier.give(PACKET, placeOf(address!, 1));
      this.clock.advance(100);
    }
    return this.clock.now() - beganMs;
  }

  admissions(): { readonly instance: string; readonly token: string }[] {
    return this.clientNews.filter((news) => news.type === "admitted")
      .map(({ instance, token }) => ({ instance, token: token.toHex() }));
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
    this.server[Symbol.dispose]();
  }

  #tools() {
    return { crypto: portableWireGuardCrypto, random: new SeededRandom(this.#seed++) };
  }
}

function fail(error: unknown): void {
  throw error;
}

Deno.test("after an hour's sleep the server has forgotten the client, which is let in anew within 5 s", () => {
  using rig = new Rig();
  assert(rig.recover() <= RECOVERED_MS);
  const [before] = rig.admissions();
  const said = rig.hellos.length;
  rig.clock.advance(HOUR_MS);
  assertEquals(rig.server.clientCount, 0);
  assertEquals(rig.serverNews.at(-1)?.type, "gone");
  assertEquals(rig.hellos.length, said, "whoever has nothing to send says nothing");
  assert(rig.recover() <= RECOVERED_MS);
  assertEquals(rig.admissions(), [before, before]);
});

Deno.test("a client whose place has changed goes on within 5 s, under the same address", () => {
  using rig = new Rig();
  rig.recover();
  rig.clientPlace = MOVED;
  assert(rig.recover() <= RECOVERED_MS);
  assertEquals(rig.server.clientCount, 1);
  assertEquals(new Set(rig.quic.server).size, 1);
});

Deno.test("a client is answered by what its newest packet tells of the way", () => {
  using rig = new Rig();
  rig.recover();
  const newest = { ...HOME };
  rig.clientPlace = newest;
  rig.recover();
  const answered: PacketPlace[] = [];
  rig.remote.onSent = (_packet, to) => void answered.push(to);
  rig.local.carrier.give(PACKET, placeOf(rig.quic.server.at(-1)!, 1));
  assertStrictEquals(answered[0], newest);
});

Deno.test("a server that was restarted lets the client in within 5 s, and is seen to be another", () => {
  using rig = new Rig();
  rig.recover();
  rig.server[Symbol.dispose]();
  rig.serve();
  assert(rig.recover() <= RECOVERED_MS);
  const [before, after] = rig.admissions();
  assert(before && after && before.instance !== after.instance && before.token !== after.token);
});

Deno.test("a hello that is heard again, from wherever, is not answered and moves nobody", () => {
  using rig = new Rig();
  rig.recover();
  const { sentPackets } = rig.remote.counters;
  for (const hello of rig.hellos) for (const place of [MOVED, HOME]) rig.remote.give(hello, place);
  rig.clock.advance(2 * HOUR_MS);
  for (const hello of rig.hellos) rig.remote.give(hello, MOVED);
  assertEquals([rig.server.clientCount, rig.remote.counters.sentPackets], [0, sentPackets]);
});

Deno.test("what comes to bridges that have been closed, before their carriers are, is dropped", () => {
  using rig = new Rig();
  rig.recover();
  using gate = rig.gate();
  const { sentPackets } = rig.remote.counters, { client } = rig.quic;
  rig[Symbol.dispose]();
  rig.remote.give(gate.hello(), HOME);
  rig.clientRemote.give(PACKET, SERVER);
  assertEquals([rig.remote.counters.sentPackets, rig.quic.client], [sentPackets, client]);
});

Deno.test("forged senders and forged hellos are not answered, passed on or remembered", () => {
  using rig = new Rig();
  rig.recover();
  const { sentPackets } = rig.remote.counters;
  const passed = rig.quic.server.length, random = new SeededRandom(9), [hello] = rig.hellos;
  for (let index = 0; index < 3000; index++) {
    const packet = index % 2 === 0 ? hello!.slice() : random.fill(new Uint8Array(index % 1400));
    if (index % 2 === 0) packet[index % packet.length]! ^= 1;
    rig.remote.give(packet, placeOf(`203.0.113.${index % 256}`, 1024 + index));
  }
  assertEquals(rig.remote.counters.sentPackets, sentPackets);
  assertEquals([rig.server.clientCount, rig.quic.server.length], [1, passed]);
});

Deno.test("where all who are there talk, one more is told that there is no room; silent ones make it", () => {
  using rig = new Rig();
  rig.isCut = true;
  rig.server[Symbol.dispose]();
  rig.serve(4);
  const answers: (string | undefined)[] = [];
  const join = (index: number) => {
    using gate = rig.gate();
    const hello = gate.hello(), from = placeOf("198.51.100.20", 1000 + index);
    let answer: string | undefined;
    rig.remote.onSent = (packet) => {
      assert(packet.length <= hello.length);
      const read = gate.read(packet, 0, packet.length);
      answer = read?.kind === "refused" ? read.reason : read?.kind;
    };
    rig.remote.give(hello, from);
    for (let packet = 0; packet < 3; packet++) rig.remote.give(PACKET, from);
    answers.push(answer);
  };
  for (let index = 0; index < 5; index++) join(index);
  assertEquals(answers, ["admitted", "admitted", "admitted", "admitted", "busy"]);
  rig.clock.advance(15_000);
  join(5);
  assertEquals([answers.at(-1), rig.server.clientCount], ["admitted", 4]);
});

Deno.test("who is refused goes on asking, less often, and is not told that nobody answers", () => {
  using rig = new Rig(new Uint8Array(32).fill(7));
  rig.clock.advance(60_000);
  assertEquals(new Set(rig.clientNews.map(({ type }) => type)), new Set(["refused"]));
  assert(rig.hellos.length >= 10 && rig.hellos.length <= 32, `${rig.hellos.length} hellos in a minute`);
});

Deno.test("hellos that have no answer are told of within 5 s, become fewer, and one is answered when it can be", () => {
  using rig = new Rig();
  rig.recover();
  rig.isCut = true;
  rig.clientLocal.carrier.give(PACKET, QUIC);
  rig.clock.advance(RECOVERED_MS);
  assertEquals(rig.clientNews.at(-1)?.type, "unanswered");
  const said = rig.hellos.length;
  rig.clock.advance(60_000);
  assert(rig.hellos.length - said <= 30, `${rig.hellos.length - said} hellos in a minute`);
  rig.isCut = false;
  assert(rig.recover() <= RECOVERED_MS);
});
