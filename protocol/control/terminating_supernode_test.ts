import { assertEquals } from "@std/assert";
import { encodeCertificate, issueCertificate } from "../certificate.ts";
import type { PeerKeys } from "../fields.ts";
import { peerKeysOf } from "./peer_keys.ts";
import type { RelayMode } from "./packets.ts";
import { generateSecrets, Identity } from "../identity.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { refusalOfTermination, type TerminationRefusal } from "./terminating_supernode.ts";

const random = new SeededRandom(1);
const wallMs = Date.UTC(2026, 0, 1);
const networkKey = random.fill(new Uint8Array(32));
const network = { networkPublicKey: primitives.ed25519PublicKey(networkKey) };
const supernode = new Identity(generateSecrets(random), primitives);
const other = new Identity(generateSecrets(random), primitives);

function keysOf(identity: Identity, role?: string): PeerKeys {
  if (role === undefined) return peerKeysOf(identity);
  const { peerId } = identity;
  const request = { peerId, roles: [role], notBeforeMs: wallMs - 1000, notAfterMs: wallMs + 1000 };
  return peerKeysOf(identity, encodeCertificate(issueCertificate(request, { networkKey, primitives, random })));
}

interface Row {
  readonly name: string;
  readonly by?: PeerKeys;
  readonly relay?: RelayMode;
  readonly closed?: true;
  readonly refusal: TerminationRefusal | undefined;
}

const good = keysOf(supernode);
const rows: readonly Row[] = [
  { name: "by nobody", refusal: undefined },
  { name: "by nobody, though wished", relay: "terminate", refusal: "not_terminated" },
  { name: "by its supernode, as wished", by: good, relay: "terminate", refusal: undefined },
  { name: "unasked", by: good, refusal: "not_wished" },
  { name: "by another supernode", by: keysOf(other), relay: "terminate", refusal: "other_supernode" },
  {
    name: "with a WireGuard key of somebody else",
    by: { ...good, wireguardKey: keysOf(other).wireguardKey },
    relay: "terminate",
    refusal: "bad_binding",
  },
  { name: "without a certificate", by: good, relay: "terminate", closed: true, refusal: "no_certificate" },
  {
    name: "with a supernode's certificate",
    by: keysOf(supernode, "supernode"),
    relay: "terminate",
    closed: true,
    refusal: undefined,
  },
  {
    name: "with an exit's certificate",
    by: keysOf(supernode, "exit"),
    relay: "terminate",
    closed: true,
    refusal: "bad_certificate",
  },
];

const grant = { addresses: ["10.200.0.2/32"], gateways: ["10.200.0.1"], dns: [], mtu: 1420 };

for (const { name, by, relay = "blind", closed, refusal } of rows) {
  const where = closed ? "a closed" : "an open";
  Deno.test(`an offer whose tunnel is terminated ${name}, in ${where} network: ${refusal ?? "taken"}`, () => {
    const packets = { ...grant, endpoint: "192.0.2.1:40000", ...(by && { terminatedBy: by }) };
    const check = { relay, supernodeId: supernode.peerId, wallMs, primitives, network: closed && network };
    assertEquals(refusalOfTermination({ packets }, check), refusal);
  });
}

Deno.test("a session that carries streams has no tunnel to terminate", () => {
  const check = { relay: "terminate", supernodeId: supernode.peerId, wallMs, primitives } as const;
  assertEquals(refusalOfTermination({}, check), undefined);
});
