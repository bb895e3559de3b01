import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { portableWireGuardCrypto as crypto } from "./crypto.ts";
import {
  createInitiation,
  createResponse,
  finishInitiation,
  type LocalStatic,
  openInitiation,
  readResponse,
  type RemoteStatic,
} from "./handshake.ts";
import { tai64n } from "./timestamp.ts";

Deno.test("both sides of a handshake get the same keys", () => {
  const random = new SeededRandom(1);
  const pair = (): LocalStatic => {
    const privateKey = random.fill(new Uint8Array(32));
    return { privateKey, publicKey: crypto.x25519PublicKey(privateKey) };
  };
  const [alice, bob] = [pair(), pair()];
  const presharedKey = random.fill(new Uint8Array(32));
  const remote = (local: LocalStatic, publicKey: LocalStatic["publicKey"]): RemoteStatic => ({
    publicKey,
    presharedKey,
    shared: crypto.x25519(local.privateKey, publicKey),
  });
  const tools = { crypto, random };
  const initiation = createInitiation(tools, alice, remote(alice, bob.publicKey), {
    senderIndex: 7,
    timestamp: tai64n(1e12),
  })!;
  const opened = openInitiation(crypto, bob, initiation.packet)!;
  assertEquals(opened.remotePublicKey, alice.publicKey);
  const finished = finishInitiation(opened, remote(bob, opened.remotePublicKey))!;
  assertEquals(finished.senderIndex, 7);
  assertEquals(finished.timestamp, tai64n(1e12));
  const response = createResponse(tools, finished.state, remote(bob, alice.publicKey), 9)!;
  const read = readResponse(crypto, alice, remote(alice, bob.publicKey), {
    state: initiation.state,
    packet: response.packet,
  })!;
  assertEquals(read.senderIndex, 9);
  assertEquals(read.keys, { send: response.keys.receive, receive: response.keys.send });
  assert(read.keys.send.some((byte) => byte !== 0));
});
