import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeCertificate, issueCertificate } from "../certificate.ts";
import type { PeerKeys } from "../fields.ts";
import { generateSecrets, Identity } from "../identity.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type PeerKeysCheck, peerKeysOf, type PeerKeysRefusal, refusalOfPeerKeys } from "./peer_keys.ts";

const random = new SeededRandom(1);
const wallMs = Date.UTC(2026, 0, 1);
const networkKey = random.fill(new Uint8Array(32));
const network = { networkPublicKey: primitives.ed25519PublicKey(networkKey) };
const exit = new Identity(generateSecrets(random), primitives);
const other = new Identity(generateSecrets(random), primitives);

function certificateOf({ peerId }: Identity, role: string, notAfterMs = wallMs + 1000): string {
  const request = { peerId, roles: [role], notBeforeMs: wallMs - 1000, notAfterMs };
  return encodeCertificate(issueCertificate(request, { networkKey, primitives, random }));
}

const good = peerKeysOf(exit);
const swapped = { ...good, wireguardKey: peerKeysOf(other).wireguardKey };

const rows: readonly { name: string; keys: PeerKeys; closed?: true; refusal: PeerKeysRefusal | undefined }[] = [
  { name: "its own", keys: good, refusal: undefined },
  { name: "a WireGuard key of somebody else", keys: swapped, refusal: "bad_binding" },
  { name: "another peer's id", keys: { ...good, peerId: other.peerId }, refusal: "wrong_peer_id" },
  {
    name: "an identity key of somebody else",
    keys: { ...good, publicKey: peerKeysOf(other).publicKey },
    refusal: "wrong_peer_id",
  },
  { name: "what is no key", keys: { ...good, publicKey: "?" }, refusal: "malformed" },
  { name: "no certificate", keys: good, closed: true, refusal: "no_certificate" },
  {
    name: "its certificate",
    keys: { ...good, certificate: certificateOf(exit, "exit") },
    closed: true,
    refusal: undefined,
  },
  {
    name: "a certificate for another role",
    keys: { ...good, certificate: certificateOf(exit, "client") },
    closed: true,
    refusal: "bad_certificate",
  },
  {
    name: "a certificate of another peer",
    keys: { ...good, certificate: certificateOf(other, "exit") },
    closed: true,
    refusal: "bad_certificate",
  },
  {
    name: "a certificate that has expired",
    keys: { ...good, certificate: certificateOf(exit, "exit", wallMs - 1) },
    closed: true,
    refusal: "bad_certificate",
  },
];

const check: PeerKeysCheck = { role: "exit", wallMs, primitives };

for (const { name, keys, closed, refusal } of rows) {
  Deno.test(`keys passed on with ${name} in ${closed ? "a closed" : "an open"} network: ${refusal ?? "believed"}`, () => {
    assertEquals(refusalOfPeerKeys(keys, { ...check, network: closed && network }), refusal);
  });
}

Deno.test("whatever is passed on as keys, it is refused without an exception", () => {
  const text = fc.string({ maxLength: 100 });
  fc.assert(fc.property(
    fc.record({ peerId: text, publicKey: text, wireguardKey: text, wireguardSignature: text, certificate: text }),
    (keys) => refusalOfPeerKeys(keys, { ...check, network }) !== undefined,
  ));
});
