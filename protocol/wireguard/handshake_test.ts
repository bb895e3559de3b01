import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Blake2s } from "../blake2s.ts";
import { IKPSK2_NAME, startIkPsk2 } from "../noise_ikpsk2.ts";
import type { Bytes } from "../primitives.ts";
import { portableWireGuardCrypto as suite } from "./crypto.ts";
import {
  createInitiation,
  createResponse,
  finishInitiation,
  type LocalStatic,
  openInitiation,
  PROLOGUE,
  readResponse,
  type RemoteStatic,
} from "./handshake.ts";
import { MACS_BYTES, messageType } from "./messages.ts";
import { tai64n } from "./timestamp.ts";

const TIMESTAMP = tai64n(1_700_000_000_000);

/** Two devices that know each other. */
class Pair {
  readonly random: SeededRandom;
  readonly tools: { crypto: typeof suite; random: SeededRandom };
  readonly alice: LocalStatic;
  readonly bob: LocalStatic;
  readonly presharedKey: Bytes;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.tools = { crypto: suite, random: this.random };
    this.alice = this.device();
    this.bob = this.device();
    this.presharedKey = this.random.fill(new Uint8Array(32));
  }

  device(): LocalStatic {
    const privateKey = this.random.fill(new Uint8Array(32));
    return { privateKey, publicKey: suite.x25519PublicKey(privateKey) };
  }

  /** What a device knows of another. */
  known(local: LocalStatic, publicKey: Bytes, presharedKey = this.presharedKey): RemoteStatic {
    return { publicKey, presharedKey, shared: suite.x25519(local.privateKey, publicKey) };
  }

  get bobOfAlice(): RemoteStatic {
    return this.known(this.alice, this.bob.publicKey);
  }

  get aliceOfBob(): RemoteStatic {
    return this.known(this.bob, this.alice.publicKey);
  }

  initiate(senderIndex = 7) {
    return createInitiation(this.tools, this.alice, this.bobOfAlice, { senderIndex, timestamp: TIMESTAMP })!;
  }

  respond(packet: Bytes, senderIndex = 9, remote = this.aliceOfBob) {
    const opened = openInitiation(suite, this.bob, packet)!;
    const finished = finishInitiation(opened, remote)!;
    return createResponse(this.tools, finished.state, remote, senderIndex)!;
  }
}

function typeOf(packet: Bytes): number {
  return messageType(new DataView(packet.buffer), 0, packet.length);
}

Deno.test("the handshake begins with the chain and the hash that every WireGuard begins with", () => {
  const encoder = new TextEncoder();
  const chain = new Blake2s().hash(encoder.encode(IKPSK2_NAME));
  assertEquals(encodeHex(chain), "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
  const hash = new Blake2s().hash(chain, encoder.encode(PROLOGUE));
  assertEquals(encodeHex(hash), "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
  const responderKey = new Uint8Array(32).fill(1);
  const state = startIkPsk2(suite, encoder.encode(PROLOGUE), responderKey);
  assertEquals(state.handshakeHash, new Blake2s().hash(hash, responderKey));
});

Deno.test("both sides get the same keys, and each learns the other's index", () => {
  const pair = new Pair(1);
  const { packet, state } = pair.initiate(0xfffffffe);
  assertEquals(typeOf(packet), 1);
  assert(packet.subarray(-MACS_BYTES).every((byte) => byte === 0));
  const opened = openInitiation(suite, pair.bob, packet)!;
  assertEquals(opened.remotePublicKey, pair.alice.publicKey);
  const finished = finishInitiation(opened, pair.aliceOfBob)!;
  assertEquals(finished.senderIndex, 0xfffffffe);
  assertEquals(finished.timestamp, TIMESTAMP);
  const response = createResponse(pair.tools, finished.state, pair.aliceOfBob, 0x80000001)!;
  assertEquals(typeOf(response.packet), 2);
  assertEquals(new DataView(response.packet.buffer).getUint32(8, true), 0xfffffffe);
  assert(response.packet.subarray(-MACS_BYTES).every((byte) => byte === 0));
  const read = readResponse(suite, pair.alice, pair.bobOfAlice, { state, packet: response.packet })!;
  assertEquals(read.senderIndex, 0x80000001);
  assertEquals(read.keys, { send: response.keys.receive, receive: response.keys.send });
  assertNotEquals(read.keys.send, read.keys.receive);
});

Deno.test("no two handshakes have anything in common", () => {
  const pair = new Pair(2);
  const [one, other] = [pair.initiate(), pair.initiate()];
  assertNotEquals(one.packet.subarray(8, 40), other.packet.subarray(8, 40));
  assertNotEquals(one.packet.subarray(40, 88), other.packet.subarray(40, 88));
  const [first, second] = [pair.respond(one.packet), pair.respond(one.packet)];
  assertNotEquals(first.keys.send, second.keys.send);
});

Deno.test("an initiation with any byte changed is refused, and the macs are not the handshake's business", () => {
  const pair = new Pair(3);
  const { packet } = pair.initiate();
  for (let at = 8; at < 116; at++) {
    const changed = packet.slice();
    changed[at]! ^= 0x80;
    const opened = openInitiation(suite, pair.bob, changed);
    // The top bit of the ephemeral key means nothing to X25519, but it was mixed into the hash.
    assertEquals(opened && finishInitiation(opened, pair.aliceOfBob), undefined, `byte ${at}`);
  }
  const macs = packet.slice();
  macs.fill(1, 116);
  assert(finishInitiation(openInitiation(suite, pair.bob, macs)!, pair.aliceOfBob));
});

Deno.test("a false response is refused and the true one still taken afterwards", () => {
  const pair = new Pair(4);
  const { packet, state } = pair.initiate();
  const response = pair.respond(packet);
  for (let at = 12; at < 60; at++) {
    const changed = response.packet.slice();
    changed[at]! ^= 0x01;
    assertEquals(readResponse(suite, pair.alice, pair.bobOfAlice, { state, packet: changed }), undefined, `byte ${at}`);
  }
  const read = readResponse(suite, pair.alice, pair.bobOfAlice, { state, packet: response.packet })!;
  assertEquals(read.keys.send, response.keys.receive);
  assert(readResponse(suite, pair.alice, pair.bobOfAlice, { state, packet: response.packet }), "and again");
});

Deno.test("whoever is not who they claim to be gets nowhere", () => {
  const pair = new Pair(5);
  const mallory = pair.device();
  const { packet, state } = pair.initiate();
  assertEquals(openInitiation(suite, mallory, packet), undefined, "not for that device");
  // Mallory knows both public keys and claims to be Alice.
  const claim = createInitiation(
    pair.tools,
    { privateKey: mallory.privateKey, publicKey: pair.alice.publicKey },
    pair.known(mallory, pair.bob.publicKey),
    { senderIndex: 1, timestamp: TIMESTAMP },
  )!;
  const opened = openInitiation(suite, pair.bob, claim.packet)!;
  assertEquals(opened.remotePublicKey, pair.alice.publicKey);
  assertEquals(finishInitiation(opened, pair.aliceOfBob), undefined);
  const otherPresharedKey = pair.respond(packet, 9, pair.known(pair.bob, pair.alice.publicKey, new Uint8Array(32)));
  const input = { state, packet: otherPresharedKey.packet };
  assertEquals(readResponse(suite, pair.alice, pair.bobOfAlice, input), undefined, "another preshared key");
});

Deno.test("a peer whose public key is of small order has no handshake", () => {
  const pair = new Pair(6);
  const zero = new Uint8Array(32);
  const known = pair.known(pair.alice, zero);
  assertEquals(known.shared, undefined);
  const terms = { senderIndex: 1, timestamp: TIMESTAMP };
  assertEquals(createInitiation(pair.tools, pair.alice, known, terms), undefined);
  assertEquals(createInitiation(pair.tools, pair.alice, { ...known, shared: new Uint8Array(32) }, terms), undefined);
  const { packet } = pair.initiate();
  packet.fill(0, 8, 40);
  assertEquals(openInitiation(suite, pair.bob, packet), undefined);
  const opened = openInitiation(suite, pair.bob, pair.initiate().packet)!;
  assertEquals(finishInitiation(opened, { ...pair.aliceOfBob, shared: undefined }), undefined);
});

Deno.test("states that are disposed of hold no key", () => {
  const pair = new Pair(7);
  const { packet, state } = pair.initiate();
  const response = pair.respond(packet);
  state[Symbol.dispose]();
  assert(state.ephemeralPrivate.every((byte) => byte === 0));
  assertEquals(readResponse(suite, pair.alice, pair.bobOfAlice, { state, packet: response.packet }), undefined);
});

Deno.test("readers survive any bytes and mutated messages", () => {
  const pair = new Pair(8);
  const { packet, state } = pair.initiate();
  const response = pair.respond(packet).packet;
  const remote = pair.aliceOfBob;
  assertDecoderSurvives((bytes) => {
    const opened = openInitiation(suite, pair.bob, new Uint8Array(bytes));
    if (opened) finishInitiation(opened, remote);
  }, { valid: fc.constant(packet), maxLength: 160, runs: 200 });
  const bobOfAlice = pair.bobOfAlice;
  assertDecoderSurvives(
    (bytes) => readResponse(suite, pair.alice, bobOfAlice, { state, packet: new Uint8Array(bytes) }),
    { valid: fc.constant(response), maxLength: 100, runs: 200 },
  );
});
