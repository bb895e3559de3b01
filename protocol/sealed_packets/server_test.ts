import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { PacketCarrier, PacketPlace } from "../packet_carrier.ts";
import type { Bytes } from "../primitives.ts";
import { Slab } from "../slab.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { SealedClient } from "./client.ts";
import { ClientTable } from "./clients.ts";
import { drawSecretText, parseNamedSecret, parseServerKey } from "./credentials.ts";
import { LEAST_PACKET_BYTES, PACKET_HEAD_BYTES } from "./packet_epoch.ts";
import { SealedServer, type ServerSession } from "./server.ts";
import { Word, writeWord } from "./session_words.ts";

/** It is only handed through. */
const carrier = {} as PacketCarrier;
const placeOf = (port: number): PacketPlace => ({ host: "10.0.0.2", port, key: `10.0.0.2:${port}` });

/** A server, and what it does; packets are handed over by the tests. */
class Rig {
  readonly random = new SeededRandom(11);
  readonly clock = new FakeClock();
  agreements = 0;
  readonly crypto = {
    ...portableWireGuardCrypto,
    x25519: (privateKey: Bytes, publicKey: Bytes) => {
      this.agreements++;
      return portableWireGuardCrypto.x25519(privateKey, publicKey);
    },
  };
  readonly tools = { crypto: this.crypto, random: this.random };
  readonly key = parseServerKey(this.crypto, drawSecretText(this.random));
  readonly secret = parseNamedSecret(`one=${drawSecretText(this.random)}`);
  readonly answers: { bytes: Uint8Array; to: PacketPlace }[] = [];
  readonly begun: ServerSession[] = [];
  readonly ended: ServerSession[] = [];
  server = this.newServer();

  newServer(): SealedServer {
    const clients = new ClientTable(this.crypto, this.key, [this.secret]);
    return new SealedServer({ tools: this.tools, server: this.key, clients, clock: this.clock }, {
      answer: (bytes, _carrier, to) => this.answers.push({ bytes, to }),
      onSession: (session) => this.begun.push(session),
      onClosed: (session) => this.ended.push(session),
      onHello() {},
    });
  }

  give(bytes: Uint8Array, from: PacketPlace): ServerSession | undefined {
    const slab = new Slab(bytes.length);
    slab.bytes.set(bytes);
    return this.server.receive(carrier, slab, 0, bytes.length, from);
  }

  client(port: number, clockBehindMs = 0): Client {
    return new Client(this, port, clockBehindMs);
  }
}

class Client {
  readonly machine: SealedClient;
  readonly hellos: Uint8Array[] = [];
  over: Error | undefined;
  renewed = 0;
  readonly #rig: Rig;
  port: number;

  constructor(rig: Rig, port: number, clockBehindMs: number) {
    this.#rig = rig;
    this.port = port;
    const credential = { serverPublicKey: rig.key.publicKey, secret: rig.secret.secret };
    this.machine = new SealedClient({ tools: rig.tools, credential, clockBehindMs, hopMs: 0 }, {
      hello: (bytes) => this.hellos.push(bytes),
      hop() {},
      onUp() {},
      onRenewed: () => this.renewed++,
      onOver: (reason) => this.over = reason,
      onClockWrong() {},
    }, rig.clock.now());
  }

  tick(): void {
    this.machine.tick(this.#rig.clock.now(), this.#rig.clock.wallNow());
  }

  /** Says hello and takes the answer. */
  greet(): void {
    this.tick();
    this.#rig.give(this.hellos.at(-1)!, placeOf(this.port));
    this.take(this.#rig.answers.at(-1)!.bytes);
  }

  take(bytes: Uint8Array): boolean {
    const slab = new Slab(bytes.length);
    slab.bytes.set(bytes);
    return this.machine.receive(slab, 0, bytes.length, this.#rig.clock.now());
  }

  sealed(body: Uint8Array): Uint8Array {
    return sealedBy(this.machine.keys!, body);
  }
}

function sealedBy(keys: { seal(slab: Slab, start: number, end: number): void }, body: Uint8Array): Uint8Array {
  const slab = new Slab(body.length + LEAST_PACKET_BYTES);
  slab.bytes.set(body, PACKET_HEAD_BYTES);
  keys.seal(slab, 0, body.length + LEAST_PACKET_BYTES);
  return slab.bytes.slice(0, body.length + LEAST_PACKET_BYTES);
}

const BODY = new Uint8Array(100).fill(5);

Deno.test("a session begins with the client's first packet, follows it from place to place, and ends when it says so", () => {
  const rig = new Rig();
  const client = rig.client(1);
  client.greet();
  assertEquals(rig.begun.length, 0);
  const late = client.sealed(BODY);
  const session = rig.give(client.sealed(BODY), placeOf(2));
  assert(session);
  assertEquals(rig.begun, [session]);
  assertEquals(session.place.port, 2);
  // What was sent before and came after does not move it back.
  assertEquals(rig.give(late, placeOf(1)), session);
  assertEquals(session.place.port, 2);
  assert(client.take(sealedBy(session.keys, BODY)));
  const slab = new Slab(64);
  const length = writeWord(slab, 0, Word.CLOSED, rig.random);
  assertEquals(rig.give(client.sealed(slab.bytes.slice(0, length)), placeOf(2)), undefined);
  assertEquals(rig.ended, [session]);
  assertEquals(rig.server.sessions.size, 0);
  assertEquals(rig.give(client.sealed(BODY), placeOf(2)), undefined);
});

Deno.test("silence is noticed within 2 s, and the session goes on under new keys", () => {
  const rig = new Rig();
  const client = rig.client(1);
  client.greet();
  const session = rig.give(client.sealed(BODY), placeOf(1))!;
  const old = client.sealed(BODY);
  client.machine.sent(rig.clock.now());
  rig.clock.advance(2_000);
  assertLessOrEqual(client.machine.nextTickMs, rig.clock.now());
  client.greet();
  assertEquals(client.hellos.length, 2);
  assertEquals(client.renewed, 1);
  assertEquals(rig.give(client.sealed(BODY), placeOf(9)), session);
  assertEquals(rig.begun.length, 1);
  assertEquals(session.place.port, 9);
  // What was on its way under the old keys is taken for a while, and then no more.
  assertEquals(rig.give(old, placeOf(1)), session);
  const older = rig.server.heldCount;
  rig.clock.advance(40_000);
  rig.server.tick(rig.clock.now());
  assertLess(rig.server.heldCount, older);
});

Deno.test("a session goes on although nothing came through under its new keys until the server had forgotten them", () => {
  const rig = new Rig();
  const client = rig.client(1);
  client.greet();
  const session = rig.give(client.sealed(BODY), placeOf(1))!;
  for (let round = 1; round <= 3; round++) {
    client.machine.sent(rig.clock.now());
    rig.clock.advance(2_000);
    client.greet();
    assertEquals(client.renewed, round);
    rig.clock.advance(40_000);
    rig.server.tick(rig.clock.now());
    assertEquals(rig.give(client.sealed(BODY), placeOf(1)), undefined);
  }
  client.machine.sent(rig.clock.now());
  rig.clock.advance(2_000);
  client.greet();
  assertEquals(rig.give(client.sealed(BODY), placeOf(2)), session);
  assertEquals(client.over, undefined);
});

Deno.test("a client that was told a time which the server has not any more finds out", () => {
  const rig = new Rig();
  rig.clock.advance(7_200_000);
  rig.server = rig.newServer();
  // The server's clock was an hour behind when it told; then it began anew with a right one.
  const client = rig.client(1, -3_600_000);
  client.tick();
  rig.give(client.hellos.at(-1)!, placeOf(1));
  assertEquals(rig.answers.length, 0);
  rig.clock.advance(500);
  client.greet();
  assert(rig.give(client.sealed(BODY), placeOf(1)));
  assertLess(Math.abs(client.machine.clockBehindMs), 10);
});

Deno.test("a server that has begun anew does not answer its old sessions, and tells a hello that they are gone", () => {
  const rig = new Rig();
  const client = rig.client(1);
  client.greet();
  rig.give(client.sealed(BODY), placeOf(1));
  rig.clock.advance(10_000);
  rig.server = rig.newServer();
  rig.answers.length = 0;
  assertEquals(rig.give(client.sealed(BODY), placeOf(1)), undefined);
  assertEquals(rig.answers.length, 0);
  client.machine.sent(rig.clock.now());
  rig.clock.advance(2_000);
  client.greet();
  assert(client.over?.message.includes("begun anew"));
});

Deno.test("a flood of anything from anywhere is not answered, costs no agreement and leaves nothing behind", () => {
  const rig = new Rig();
  const client = rig.client(1);
  client.greet();
  const session = rig.give(client.sealed(BODY), placeOf(1))!;
  const { hellos: [hello] } = client;
  const [held, answered] = [rig.server.heldCount, rig.answers.length];
  rig.agreements = 0;
  for (let round = 0; round < 5_000; round++) {
    rig.give(rig.random.fill(new Uint8Array(1 + round % 1400)), placeOf(round));
    rig.give(hello!, placeOf(round));
    if (round % 100 === 0) assertEquals(rig.give(client.sealed(BODY), placeOf(1)), session);
  }
  assertEquals(rig.answers.length, answered);
  assertEquals(rig.server.heldCount, held);
  assertEquals(rig.agreements, 0);
  assertEquals(session.place.port, 1);
});

Deno.test("hellos of a client that never uses their answers are forgotten", () => {
  const rig = new Rig();
  for (let round = 0; round < 600; round++) {
    rig.clock.advance(5);
    rig.client(round).greet();
  }
  // Remembered as seen, and 512 keys that wait.
  assertEquals(rig.server.heldCount, 1112);
  rig.clock.advance(130_000);
  rig.server.tick(rig.clock.now());
  const client = rig.client(1);
  client.greet();
  // What this one said and what waits for it, and the last few of those.
  assertEquals(rig.server.heldCount, 2 + 64);
  assertEquals(rig.server.sessions.size, 0);
});

Deno.test("no bytes at all can harm either side", () => {
  const rig = new Rig();
  const client = rig.client(1);
  client.greet();
  assertDecoderSurvives((bytes) => void rig.give(bytes, placeOf(3)), { runs: 500, maxLength: 1500 });
  assertDecoderSurvives((bytes) => void client.take(bytes), { runs: 500, maxLength: 1500 });
  assert(rig.give(client.sealed(BODY), placeOf(1)));
});

Deno.test("a client that nobody answers says so after 4 s, having tried often", () => {
  const rig = new Rig();
  const client = rig.client(1);
  for (client.tick(); !client.over; client.tick()) {
    rig.clock.advance(Math.max(1, client.machine.nextTickMs - rig.clock.now()));
  }
  assertEquals(rig.clock.now(), 4_000);
  assertEquals(client.hellos.length, 8);
  assertEquals(new Set(client.hellos.map((hello) => hello.join())).size, 8);
});
