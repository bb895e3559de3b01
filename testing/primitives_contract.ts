/**
 * What every implementation of `Primitives` must do, whatever it is made of. Call it from a test file with the
 * implementation's name; it registers the tests. Sources of the vectors: tests/vectors/README.md.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding/hex";
import { type Bytes, portablePrimitives, type Primitives } from "../protocol/primitives.ts";
import { SeededRandom } from "./seeded_random.ts";

const SHA256 = [
  { message: "", hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
  { message: "abc", hash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  {
    message: "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    hash: "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  },
];

const ED25519 = [
  {
    name: "TEST 1",
    secretKey: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555" +
      "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    name: "TEST 2",
    secretKey: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da0" +
      "85ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    name: "TEST 3",
    secretKey: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac1" +
      "8ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
  {
    name: "TEST SHA(abc)",
    secretKey: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    publicKey: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    message: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39" +
      "a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    signature: "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b5890" +
      "9351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  },
];

const X25519 = [
  {
    name: "§5.2, first",
    scalar: "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
    u: "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
    result: "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
  },
  {
    name: "§5.2, second",
    scalar: "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
    u: "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
    result: "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
  },
];

/** Order 1, 2, 4, 4, 8, 8, 8, 8: under each, one signature fits many messages. */
const SMALL_ORDER_KEYS = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
];

/** The order L of the base point, little-endian. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

export function testPrimitives(name: string, primitives: Primitives): void {
  testHash(name, primitives);
  testEd25519(name, primitives);
  testStrictness(name, primitives);
  testX25519(name, primitives);
}

function testHash(name: string, primitives: Primitives): void {
  Deno.test(`${name}: SHA-256 gives the hashes of FIPS 180-4`, () => {
    for (const { message, hash } of SHA256) {
      assertEquals(encodeHex(primitives.sha256(new TextEncoder().encode(message))), hash);
    }
  });
}

function testEd25519(name: string, primitives: Primitives): void {
  Deno.test(`${name}: Ed25519 gives the keys and signatures of RFC 8032 §7.1`, () => {
    for (const vector of ED25519) {
      const secretKey = decodeHex(vector.secretKey);
      const message = decodeHex(vector.message);
      assertEquals(encodeHex(primitives.ed25519PublicKey(secretKey)), vector.publicKey, vector.name);
      assertEquals(encodeHex(primitives.ed25519Sign(message, secretKey)), vector.signature, vector.name);
      assert(primitives.ed25519Verify(decodeHex(vector.signature), message, decodeHex(vector.publicKey)), vector.name);
    }
  });

  Deno.test(`${name}: Ed25519 refuses a signature with any one bit changed`, () => {
    const { secretKey, publicKey, signature } = ED25519[2]!;
    const message = decodeHex(ED25519[2]!.message);
    assert(primitives.ed25519Verify(decodeHex(signature), message, decodeHex(publicKey)));
    for (let bit = 0; bit < 64 * 8; bit += 7) {
      const changed = decodeHex(signature);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      assert(!primitives.ed25519Verify(changed, message, decodeHex(publicKey)), `bit ${bit}`);
    }
    const other = primitives.ed25519PublicKey(decodeHex(secretKey).fill(1));
    assert(!primitives.ed25519Verify(decodeHex(signature), message, other));
  });

  Deno.test(`${name}: Ed25519 agrees with the portable implementation on random keys and messages`, () => {
    const random = new SeededRandom(8032);
    for (let round = 0; round < 10; round++) {
      const secretKey = random.fill(new Uint8Array(32));
      const message = random.fill(new Uint8Array(round * 37));
      const signature = primitives.ed25519Sign(message, secretKey);
      assertEquals(signature, portablePrimitives.ed25519Sign(message, secretKey));
      const publicKey = primitives.ed25519PublicKey(secretKey);
      assert(portablePrimitives.ed25519Verify(signature, message, publicKey));
      assert(primitives.ed25519Verify(signature, message, publicKey));
    }
  });
}

function testStrictness(name: string, primitives: Primitives): void {
  Deno.test(`${name}: Ed25519 refuses every key of small order`, () => {
    for (const key of SMALL_ORDER_KEYS) {
      const publicKey = decodeHex(key);
      // R = the identity and S = 0 satisfies the equation under a small-order key whenever h·A vanishes.
      const signature = new Uint8Array(64);
      signature[0] = 1;
      for (let message = 0; message < 16; message++) {
        assert(!primitives.ed25519Verify(signature, Uint8Array.of(message), publicKey), key);
      }
    }
  });

  Deno.test(`${name}: Ed25519 refuses S + L, which means the same as S`, () => {
    const { publicKey, message, signature } = ED25519[1]!;
    const changed = decodeHex(signature);
    const s = [...changed.subarray(32)].reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n) + L;
    for (let at = 0; at < 32; at++) changed[32 + at] = Number(s >> BigInt(8 * at) & 0xffn);
    assert(!primitives.ed25519Verify(changed, decodeHex(message), decodeHex(publicKey)));
  });

  Deno.test(`${name}: Ed25519 refuses keys that are not canonical, not on the curve, or of another length`, () => {
    const { message, signature } = ED25519[1]!;
    const rows = [
      { name: "y = p + 1, another way to write the identity", key: "ee" + "ff".repeat(30) + "7f" },
      { name: "y = 2^255 - 1", key: "ff".repeat(31) + "7f" },
      { name: "x = 0 with its sign set", key: "01" + "00".repeat(30) + "80" },
      { name: "y = 2, not on the curve", key: "02" + "00".repeat(31) },
      { name: "empty", key: "" },
      { name: "31 bytes", key: "05".repeat(31) },
      { name: "33 bytes", key: "05".repeat(33) },
    ];
    for (const { name, key } of rows) {
      assert(!primitives.ed25519Verify(decodeHex(signature), decodeHex(message), decodeHex(key)), name);
    }
    const good = decodeHex(ED25519[1]!.publicKey);
    for (const length of [0, 63, 65]) {
      assert(!primitives.ed25519Verify(new Uint8Array(length), decodeHex(message), good), `${length} bytes signature`);
    }
    assertThrows(() => primitives.ed25519Sign(new Uint8Array(1), new Uint8Array(31)));
  });
}

function testX25519(name: string, primitives: Primitives): void {
  Deno.test(`${name}: X25519 gives the results of RFC 7748 §5.2`, () => {
    for (const { name, scalar, u, result } of X25519) {
      const secret = primitives.x25519(decodeHex(scalar), decodeHex(u));
      assertEquals(secret && encodeHex(secret), result, name);
    }
  });

  Deno.test(`${name}: X25519 applied to its own output a thousand times gives the result of RFC 7748 §5.2`, () => {
    let k = decodeHex("0900000000000000000000000000000000000000000000000000000000000000") as Bytes;
    let u = k;
    for (let round = 1; round <= 1000; round++) {
      [k, u] = [primitives.x25519(k, u)!, k];
      if (round === 1) {
        assertEquals(encodeHex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
      }
    }
    assertEquals(encodeHex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
  });

  Deno.test(`${name}: X25519 gives both sides the secret of RFC 7748 §6.1`, () => {
    const alice = decodeHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const bob = decodeHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    const alicePublic = primitives.x25519PublicKey(alice);
    const bobPublic = primitives.x25519PublicKey(bob);
    assertEquals(encodeHex(alicePublic), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assertEquals(encodeHex(bobPublic), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    assertEquals(encodeHex(primitives.x25519(alice, bobPublic)!), shared);
    assertEquals(encodeHex(primitives.x25519(bob, alicePublic)!), shared);
  });

  Deno.test(`${name}: X25519 gives no secret for a public key of small order or of another length`, () => {
    const secretKey = new Uint8Array(32).fill(7);
    for (const key of ["00".repeat(32), "01" + "00".repeat(31), "ee" + "ff".repeat(30) + "7f", "09", ""]) {
      assertEquals(primitives.x25519(secretKey, decodeHex(key)), undefined, key);
    }
    assertThrows(() => primitives.x25519(new Uint8Array(31), new Uint8Array(32).fill(9)));
  });
}
