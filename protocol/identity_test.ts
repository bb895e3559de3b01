import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeBase32 as referenceBase32 } from "@std/encoding/base32";
import { SeededRandom } from "../testing/seeded_random.ts";
import { CulvertError } from "./errors.ts";
import { generateSecrets, Identity, isPeerId, peerIdFits, peerIdOf, verifyWireGuardBinding } from "./identity.ts";
import { portablePrimitives as primitives } from "./primitives.ts";

function identity(seed = 1): Identity {
  return new Identity(generateSecrets(new SeededRandom(seed)), primitives);
}

Deno.test("a peer id is the base32 of half the hash of the key, 26 characters", () => {
  for (let seed = 0; seed < 20; seed++) {
    const { publicKey, peerId } = identity(seed);
    const half = primitives.sha256(publicKey).slice(0, 16);
    assertEquals(peerId, referenceBase32(half).replaceAll("=", "").toLowerCase());
    assertEquals(peerId.length, 26);
    assert(isPeerId(peerId));
    assert(peerIdFits(peerId, publicKey, primitives));
  }
});

Deno.test("what could not be a peer id is told apart", () => {
  const good = "a".repeat(26);
  assert(isPeerId(good));
  const rows = ["", "a".repeat(25), "a".repeat(27), good.toUpperCase(), `${good}\n`, `1${good.slice(1)}`];
  for (const text of rows) assert(!isPeerId(text), JSON.stringify(text));
  assert(!isPeerId("a".repeat(25) + "b"), "the last character carries two bits that must be zero");
});

Deno.test("a peer id does not fit another's key, nor a key of another length", () => {
  const one = identity(1);
  const other = identity(2);
  assert(!peerIdFits(one.peerId, other.publicKey, primitives));
  const short = one.publicKey.subarray(0, 31);
  assert(!peerIdFits(peerIdOf(short, primitives), short, primitives));
});

Deno.test("a WireGuard binding holds, and no part of it can be swapped", () => {
  const one = identity(1);
  const other = identity(2);
  const binding = one.wireguardBinding();
  assert(verifyWireGuardBinding(binding, primitives));
  const swapped = [
    { name: "WireGuard key", wireguardKey: other.wireguardPublicKey },
    { name: "WireGuard key of no length", wireguardKey: new Uint8Array() },
    { name: "peer id", peerId: other.peerId },
    { name: "public key", publicKey: other.publicKey },
    { name: "peer id and public key", peerId: other.peerId, publicKey: other.publicKey },
    { name: "signature", signature: other.wireguardBinding().signature },
  ];
  for (const { name, ...part } of swapped) assert(!verifyWireGuardBinding({ ...binding, ...part }, primitives), name);
});

Deno.test("new WireGuard keys are clamped as `wg genkey` clamps them", () => {
  for (let seed = 0; seed < 50; seed++) {
    const { wireguardKey } = generateSecrets(new SeededRandom(seed));
    assertEquals(wireguardKey[0]! & 7, 0);
    assertEquals(wireguardKey[31]! & 0xc0, 0x40);
  }
});

Deno.test("an identity does not show its secrets when printed or serialised", () => {
  const one = identity();
  const secret = one.secrets().identityKey;
  const shown = JSON.stringify(one) + Deno.inspect(one, { depth: 9, iterableLimit: 99, showHidden: true });
  assert(!shown.includes([...secret].join(",")) && !shown.includes([...secret].slice(0, 4).join(", ")));
});

Deno.test("keys of a wrong length make no identity", () => {
  const { wireguardKey } = generateSecrets(new SeededRandom(1));
  assertThrows(
    () => new Identity({ identityKey: new Uint8Array(31), wireguardKey }, primitives),
    CulvertError,
    "must be 32 bytes, got 31",
  );
});
