/** Packets and handshakes, by libcrypto and by JavaScript: `deno bench -A native/crypto_bench.ts`. */

import { randomOf } from "../protocol/random.ts";
import { Slab } from "../protocol/slab.ts";
import { MacChecker, MacStamper } from "../protocol/wireguard/cookie.ts";
import { portableWireGuardCrypto, type WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import {
  createInitiation,
  createResponse,
  finishInitiation,
  type LocalStatic,
  openInitiation,
  type RemoteStatic,
} from "../protocol/wireguard/handshake.ts";
import { tai64n } from "../protocol/wireguard/timestamp.ts";
import { openLibcrypto } from "./crypto.ts";

const random = randomOf(crypto);

function benchPackets(name: string, suite: WireGuardCrypto, baseline: boolean): void {
  const aead = suite.aead(random.fill(new Uint8Array(32)));
  const slab = new Slab(2048);
  let counter = 0;
  Deno.bench(`${name} seals 1424 bytes`, { group: "seal", baseline }, () => aead.seal(slab, 16, 1424, counter++));
  const sealed = new Slab(2048);
  aead.seal(sealed, 16, 1424, 0);
  Deno.bench(`${name} opens 1424 bytes (and copies them)`, { group: "open", baseline }, () => {
    slab.bytes.set(sealed.bytes);
    if (!aead.open(slab, 16, 1440, 0)) throw new Error("not authentic");
  });
}

function benchHandshakes(name: string, suite: WireGuardCrypto, baseline: boolean): void {
  const tools = { crypto: suite, random };
  const device = (): LocalStatic => {
    const privateKey = random.fill(new Uint8Array(32));
    return { privateKey, publicKey: suite.x25519PublicKey(privateKey) };
  };
  const [alice, bob] = [device(), device()];
  const known = (publicKey: LocalStatic["publicKey"]): RemoteStatic => ({
    publicKey,
    presharedKey: new Uint8Array(32),
    shared: suite.x25519(alice.privateKey, bob.publicKey),
  });
  const [bobOfAlice, aliceOfBob] = [known(bob.publicKey), known(alice.publicKey)];
  const terms = { senderIndex: 1, timestamp: tai64n(0) };
  const { packet } = createInitiation(tools, alice, bobOfAlice, terms)!;
  new MacStamper(suite, bob.publicKey).stamp(packet, 0);
  const checker = new MacChecker(tools, bob.publicKey);
  const stamper = new MacStamper(suite, alice.publicKey);
  Deno.bench(`${name} answers an initiation, macs included`, { group: "handshake", baseline }, () => {
    if (!checker.hasMac1(packet, packet.length)) throw new Error("no mac1");
    const { state } = finishInitiation(openInitiation(suite, bob, packet)!, aliceOfBob)!;
    stamper.stamp(createResponse(tools, state, aliceOfBob, 2)!.packet, 0);
  });
  if (!baseline) return; // a mac is hashed in JavaScript either way
  Deno.bench("a mac1 is checked", () => void checker.hasMac1(packet, packet.length));
}

const native = openLibcrypto();
if (native) {
  benchPackets("libcrypto", native, true);
  benchHandshakes("libcrypto", native, true);
}
benchPackets("JavaScript", portableWireGuardCrypto, !native);
benchHandshakes("JavaScript", portableWireGuardCrypto, !native);
