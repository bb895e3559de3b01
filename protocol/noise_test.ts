import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import { Blake2s } from "./blake2s.ts";
import { hkdf, hmac, SymmetricState } from "./noise.ts";
import { readFirst, readFirstPayload, readSecond, startIk, writeFirst, writeSecond } from "./noise_ik.ts";
import { startIkPsk2 } from "./noise_ikpsk2.ts";
import type { Bytes } from "./primitives.ts";
import { portableWireGuardCrypto as suite } from "./wireguard/crypto.ts";

const KDF = [
  {
    key: "746573742d6b6579",
    input: "746573742d696e707574",
    outputs: [
      "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
      "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
      "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24",
    ],
  },
  {
    key: "776972656775617264",
    input: "776972656775617264",
    outputs: [
      "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
      "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
      "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160",
    ],
  },
  {
    key: "",
    input: "",
    outputs: [
      "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
      "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
      "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e",
    ],
  },
];

/** One whole session of the cacophony vectors. */
interface Vector {
  readonly name: string;
  readonly presharedKey?: string;
  readonly handshakeHash: string;
  readonly messages: readonly { readonly payload: string; readonly sealed: string }[];
}

/** The same in every vector. */
const KEYS = {
  prologue: "4a6f686e2047616c74",
  initiatorStatic: "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
  initiatorEphemeral: "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
  responderStatic: "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
  responderEphemeral: "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
};

const IK: Vector = {
  name: "Noise_IK_25519_ChaChaPoly_BLAKE2s",
  handshakeHash: "48f3cb8bc9319da4ba1e9933991b1c4ed4034f1f126a76d3a1fbcfd7f94248d4",
  messages: [
    {
      payload: "4c756477696720766f6e204d69736573",
      sealed: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32" +
        "e76c28239a7ca4ac8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4e" +
        "ca690f6d896f543be02c996ab2b86b76",
    },
    {
      payload: "4d757272617920526f746862617264",
      sealed: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561" +
        "f42e691ac8404efd6fbd6308b6a27c",
    },
    {
      payload: "462e20412e20486179656b",
      sealed: "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b",
    },
    {
      payload: "4361726c204d656e676572",
      sealed: "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3",
    },
    {
      payload: "4a65616e2d426170746973746520536179",
      sealed: "a9c068ca5d8babf72560652d8e851adbfac35c8a66e810d560863173e96adf4cfe",
    },
    {
      payload: "457567656e2042f6686d20766f6e2042617765726b",
      sealed: "2a09d8f459e5927e40fdd2eddc99bdafb04e13a26f145cb5cfe9e6ba34c94331ebc17d5156",
    },
  ],
};

const IKPSK2: Vector = {
  name: "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s",
  presharedKey: "54686973206973206d7920417573747269616e20706572737065637469766521",
  handshakeHash: "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5",
  messages: [
    {
      payload: "4c756477696720766f6e204d69736573",
      sealed: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb5" +
        "6253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985464cf17e51" +
        "ee93109008399a21f7e13f",
    },
    {
      payload: "4d757272617920526f746862617264",
      sealed: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab03222" +
        "17755c0632f365717edbf34d33e87a",
    },
    {
      payload: "462e20412e20486179656b",
      sealed: "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
    },
    {
      payload: "4361726c204d656e676572",
      sealed: "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
    },
    {
      payload: "4a65616e2d426170746973746520536179",
      sealed: "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
    },
    {
      payload: "457567656e2042f6686d20766f6e2042617765726b",
      sealed: "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
    },
  ],
};

function pairOf(privateKeyHex: string) {
  const privateKey = decodeHex(privateKeyHex);
  return { privateKey, publicKey: suite.x25519PublicKey(privateKey) };
}

/** Runs the vector's handshake and gives both states at its end, and both sides' keys. */
function runVector(vector: Vector) {
  const start = vector.presharedKey === undefined ? startIk : startIkPsk2;
  const initiator = pairOf(KEYS.initiatorStatic);
  const responder = pairOf(KEYS.responderStatic);
  const [first, second] = vector.messages;
  const sending = start(suite, decodeHex(KEYS.prologue), responder.publicKey);
  const receiving = sending.clone();
  const ephemeral = pairOf(KEYS.initiatorEphemeral);
  const shared = suite.x25519(initiator.privateKey, responder.publicKey)!;
  const one = writeFirst(suite, sending, {
    local: initiator,
    ephemeral,
    remote: { publicKey: responder.publicKey, shared },
    payload: decodeHex(first!.payload),
  })!;
  assertEquals(encodeHex(one.ephemeral) + encodeHex(one.sealedStatic) + encodeHex(one.sealedPayload), first!.sealed);
  assertEquals(readFirst(suite, receiving, { local: responder, message: one }), initiator.publicKey);
  assertEquals(encodeHex(readFirstPayload(receiving, shared, one.sealedPayload)!), first!.payload);
  const psk = vector.presharedKey === undefined ? {} : { presharedKey: decodeHex(vector.presharedKey) };
  const two = writeSecond(suite, receiving, {
    ephemeral: pairOf(KEYS.responderEphemeral),
    remoteEphemeral: one.ephemeral,
    remoteStatic: initiator.publicKey,
    ...psk,
    payload: decodeHex(second!.payload),
  })!;
  assertEquals(encodeHex(two.message.ephemeral) + encodeHex(two.message.sealedPayload), second!.sealed);
  const read = readSecond(suite, sending, {
    local: initiator,
    ephemeralPrivate: ephemeral.privateKey,
    ...psk,
    message: two.message,
  })!;
  assertEquals(encodeHex(read.payload), second!.payload);
  return { sending, receiving, initiatorKeys: read.keys, responderKeys: two.keys };
}

Deno.test("the key derivation gives wireguard-go's outputs", () => {
  const hasher = new Blake2s();
  for (const { key, input, outputs } of KDF) {
    for (const count of [1, 2, 3] as const) {
      const made = hkdf(hasher, decodeHex(key), { secret: decodeHex(input), outputs: count });
      assertEquals(made.map((output) => encodeHex(output)), outputs.slice(0, count), key);
    }
  }
});

Deno.test("a keyed hash of parts is that of the whole", () => {
  const hasher = new Blake2s();
  const whole = new TextEncoder().encode("one after another");
  const key = Uint8Array.of(1, 2, 3);
  assertEquals(hmac(hasher, key, whole.subarray(0, 3), whole.subarray(3)), hmac(hasher, key, whole));
});

for (const vector of [IK, IKPSK2]) {
  Deno.test(`${vector.name} gives every message of the cacophony vector, both ways, and its handshake hash`, () => {
    const { sending, receiving, initiatorKeys, responderKeys } = runVector(vector);
    assertEquals(encodeHex(sending.handshakeHash), vector.handshakeHash);
    assertEquals(encodeHex(receiving.handshakeHash), vector.handshakeHash);
    assertEquals(initiatorKeys, responderKeys);
    vector.messages.slice(2).forEach(({ payload, sealed }, number) => {
      const nonce = new Uint8Array(12);
      nonce[4] = number >> 1;
      const key = number % 2 === 0 ? initiatorKeys.first : initiatorKeys.second;
      assertEquals(encodeHex(suite.seal({ key, nonce, associated: new Uint8Array(0) }, decodeHex(payload))), sealed);
    });
  });
}

Deno.test("a preshared key belongs to IKpsk2, and to it alone", () => {
  const [local, ephemeral] = [pairOf(KEYS.responderStatic), pairOf(KEYS.responderEphemeral)];
  const answer = {
    ephemeral,
    remoteEphemeral: local.publicKey,
    remoteStatic: local.publicKey,
    payload: new Uint8Array(0),
  };
  const empty = new Uint8Array(0);
  assertThrows(() => writeSecond(suite, startIkPsk2(suite, empty, local.publicKey), answer), TypeError);
  const wrong = { ...answer, presharedKey: new Uint8Array(32) };
  assertThrows(() => writeSecond(suite, startIk(suite, empty, local.publicKey), wrong), TypeError);
});

Deno.test("a state that is wiped or copied does not change the other", () => {
  const state = SymmetricState.start(suite, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");
  state.mixKey(Uint8Array.of(1));
  const copy = state.clone();
  const kept = state.clone();
  copy.mixHash(Uint8Array.of(2));
  const sealed = kept.clone().encryptAndHash(Uint8Array.of(3));
  copy[Symbol.dispose]();
  assertEquals(state.handshakeHash, kept.handshakeHash);
  assertEquals(state.decryptAndHash(sealed), Uint8Array.of(3));
  assert(copy.handshakeHash.every((byte) => byte === 0));
});

Deno.test("a false field leaves the state as it was", () => {
  const state = SymmetricState.start(suite, "short name");
  state.mixKey(Uint8Array.of(1));
  const sealed = state.clone().encryptAndHash(Uint8Array.of(3, 4));
  const before = state.handshakeHash;
  for (let at = 0; at < sealed.length; at++) {
    const changed: Bytes = sealed.slice();
    changed[at]! ^= 1;
    assertEquals(state.decryptAndHash(changed), undefined);
  }
  assertEquals(state.handshakeHash, before);
  assertEquals(state.decryptAndHash(sealed), Uint8Array.of(3, 4));
});
