import { assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import fc from "fast-check";
import { drawKeyPair } from "./noise_ik.ts";
import { readFirstNk, readSecondNk, startNk, writeFirstNk, writeSecondNk } from "./noise_nk.ts";
import type { Bytes } from "./primitives.ts";
import { randomOf } from "./random.ts";
import { portableWireGuardCrypto as suite } from "./wireguard/crypto.ts";

/** Of the cacophony vectors, see tests/vectors/README.md. */
const VECTOR = {
  prologue: "4a6f686e2047616c74",
  initiatorEphemeral: "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
  responderStatic: "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
  responderKey: "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
  responderEphemeral: "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
  handshakeHash: "d7244d974066aae2376f7ba5534f60a6e4e82cd7c9751e226cae3928e6b49f14",
  messages: [
    {
      payload: "4c756477696720766f6e204d69736573",
      sealed: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944" +
        "54ae7612d1724af42adb130160a9a94e67b5b169b4e00c189f6467cd17eb7cad",
    },
    {
      payload: "4d757272617920526f746862617264",
      sealed: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843" +
        "986a5c929337e337ac8b4a074af12ab9f76318a5f18c8b599a443af07383ce",
    },
    { payload: "462e20412e20486179656b", sealed: "550027c7a5d450017bcb5e12b8253b1c53fd2213aeda84891d5f95" },
    { payload: "4361726c204d656e676572", sealed: "dfbce0c38210ccee35e830aca9dd8b8b3997b933e75bfc8864b759" },
    {
      payload: "4a65616e2d426170746973746520536179",
      sealed: "4c487a88330c7c65e44d430addf3d92d2a15b081a2892b96693e00b68aec0adac2",
    },
    {
      payload: "457567656e2042f6686d20766f6e2042617765726b",
      sealed: "471cb9f8252d8ae7b25c93f4b4aebdbf25e5baa23f14bc743559e3ef7fd065e69cfaef55ee",
    },
  ],
};

function pairOf(privateKeyHex: string) {
  const privateKey = decodeHex(privateKeyHex);
  return { privateKey, publicKey: suite.x25519PublicKey(privateKey) };
}

function hexOf({ ephemeral, sealedPayload }: { ephemeral: Bytes; sealedPayload: Bytes }): string {
  return encodeHex(ephemeral) + encodeHex(sealedPayload);
}

Deno.test("NK gives every message of the cacophony vector, both ways, and its handshake hash", () => {
  const local = pairOf(VECTOR.responderStatic);
  assertEquals(encodeHex(local.publicKey), VECTOR.responderKey);
  const sending = startNk(suite, decodeHex(VECTOR.prologue), local.publicKey);
  const receiving = sending.clone();
  const ephemeral = pairOf(VECTOR.initiatorEphemeral);
  const [first, second, ...transport] = VECTOR.messages;
  const payload = decodeHex(first!.payload);
  const one = writeFirstNk(suite, sending, { ephemeral, remoteStatic: local.publicKey, payload })!;
  assertEquals(hexOf(one), first!.sealed);
  assertEquals(readFirstNk(suite, receiving, { local, message: one }), payload);
  const two = writeSecondNk(suite, receiving, {
    ephemeral: pairOf(VECTOR.responderEphemeral),
    remoteEphemeral: one.ephemeral,
    payload: decodeHex(second!.payload),
  })!;
  assertEquals(hexOf(two.message), second!.sealed);
  const read = readSecondNk(suite, sending, { ephemeral, message: two.message })!;
  assertEquals(encodeHex(read.payload), second!.payload);
  assertEquals(read.keys, two.keys);
  assertEquals(encodeHex(sending.handshakeHash), VECTOR.handshakeHash);
  assertEquals(encodeHex(receiving.handshakeHash), VECTOR.handshakeHash);
  transport.forEach(({ payload, sealed }, number) => {
    const nonce = new Uint8Array(12);
    nonce[4] = number >> 1;
    const key = number % 2 === 0 ? read.keys.first : read.keys.second;
    assertEquals(encodeHex(suite.seal({ key, nonce, associated: new Uint8Array(0) }, decodeHex(payload))), sealed);
  });
});

Deno.test("a handshake of which any byte was changed on the way fails", () => {
  const random = randomOf(crypto);
  fc.assert(
    fc.property(fc.boolean(), fc.nat({ max: 63 }), fc.integer({ min: 1, max: 255 }), (inFirst, at, change) => {
      using local = drawKeyPair(suite, random);
      using near = drawKeyPair(suite, random);
      using far = drawKeyPair(suite, random);
      const prologue = Uint8Array.of(1, 2);
      const sending = startNk(suite, prologue, local.publicKey);
      const payload = random.fill(new Uint8Array(16));
      const one = writeFirstNk(suite, sending, { ephemeral: near, remoteStatic: local.publicKey, payload })!;
      const receiving = startNk(suite, prologue, local.publicKey);
      const arrived = inFirst ? changed(one, at, change) : one;
      const read = readFirstNk(suite, receiving, { local, message: arrived });
      // The highest bit of a public key is masked (RFC 7748 §5), but the transcript holds it all the same.
      if (inFirst) return assertEquals(read, undefined);
      const answer = { ephemeral: far, remoteEphemeral: arrived.ephemeral, payload };
      const two = writeSecondNk(suite, receiving, answer)!;
      assertEquals(
        readSecondNk(suite, sending, { ephemeral: near, message: changed(two.message, at, change) }),
        undefined,
      );
    }),
    { numRuns: 40 },
  );
});

Deno.test("keys of small order begin no handshake", () => {
  using ephemeral = drawKeyPair(suite, randomOf(crypto));
  const zero = new Uint8Array(32);
  const state = () => startNk(suite, new Uint8Array(0), zero);
  assertEquals(writeFirstNk(suite, state(), { ephemeral, remoteStatic: zero, payload: zero }), undefined);
  const message = { ephemeral: zero, sealedPayload: new Uint8Array(16) };
  assertEquals(readFirstNk(suite, state(), { local: ephemeral, message }), undefined);
  assertEquals(writeSecondNk(suite, state(), { ephemeral, remoteEphemeral: zero, payload: zero }), undefined);
  assertEquals(readSecondNk(suite, state(), { ephemeral, message }), undefined);
});

function changed(message: { ephemeral: Bytes; sealedPayload: Bytes }, at: number, change: number) {
  const ephemeral = message.ephemeral.slice();
  const sealedPayload = message.sealedPayload.slice();
  if (at < 32) ephemeral[at]! ^= change;
  else sealedPayload[at - 32]! ^= change;
  return { ephemeral, sealedPayload };
}
