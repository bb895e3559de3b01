import { assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../testing/seeded_random.ts";
import { drawKeyPair } from "./noise_ik.ts";
import type { Bytes } from "./primitives.ts";
import {
  answerFirst,
  FIRST_BYTES,
  SealInitiator,
  type SealKeys,
  SECOND_BYTES,
  sessionPrologue,
} from "./sealed_handshake.ts";
import { portableWireGuardCrypto as suite } from "./wireguard/crypto.ts";

const random = new SeededRandom(11);
const tools = { crypto: suite, random };
const prologue = sessionPrologue("a session");

function shakeHands(): { near: SealKeys; far: SealKeys } {
  const [client, exit] = [drawKeyPair(suite, random), drawKeyPair(suite, random)];
  using initiator = new SealInitiator(tools, { local: client, remote: exit.publicKey, prologue });
  const accept = (key: Bytes) => key.join() === client.publicKey.join();
  const answer = answerFirst(tools, { local: exit, prologue, accept }, initiator.first!)!;
  return { near: initiator.finish(answer.second)!, far: answer.keys };
}

Deno.test("a handshake gives both sides the same keys, one for each direction and new ones every time", () => {
  const { near, far } = shakeHands();
  assertEquals([near.send, near.receive], [far.receive, far.send]);
  assertNotEquals(near.send, near.receive);
  assertNotEquals(shakeHands().near, near);
});

Deno.test("a first message with any byte changed gets no answer, and a false answer gives no keys", () => {
  const [client, exit] = [drawKeyPair(suite, random), drawKeyPair(suite, random)];
  const options = { local: exit, prologue, accept: () => true };
  using initiator = new SealInitiator(tools, { local: client, remote: exit.publicKey, prologue });
  const first = initiator.first!;
  assertEquals(first.length, FIRST_BYTES);
  for (let at = 0; at < first.length; at += 5) {
    const changed = first.slice();
    changed[at]! ^= 0x10;
    assertEquals(answerFirst(tools, options, changed), undefined, `byte ${at}`);
  }
  const { second } = answerFirst(tools, options, first)!;
  assertEquals(second.length, SECOND_BYTES);
  for (let at = 0; at < second.length; at += 5) {
    using initiator = new SealInitiator(tools, { local: client, remote: exit.publicKey, prologue });
    const { second } = answerFirst(tools, options, initiator.first!)!;
    second[at]! ^= 0x10;
    assertEquals(initiator.finish(second), undefined, `byte ${at}`);
  }
});

Deno.test("handshakes survive any bytes, and their answers too", () => {
  const [client, exit] = [drawKeyPair(suite, random), drawKeyPair(suite, random)];
  const message = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const bytes = (bytes: Uint8Array) => new Uint8Array(bytes);
  fc.assert(
    fc.property(message(FIRST_BYTES), message(SECOND_BYTES), (first, second) => {
      assertEquals(answerFirst(tools, { local: exit, prologue, accept: () => true }, bytes(first)), undefined);
      using initiator = new SealInitiator(tools, { local: client, remote: exit.publicKey, prologue });
      assertEquals(initiator.finish(bytes(second)), undefined);
    }),
    { numRuns: 20 },
  );
});
