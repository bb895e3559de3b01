import { assertEquals } from "@std/assert";
import { generateSecrets, Identity } from "../identity.ts";
import { portablePrimitives } from "../primitives.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type CardRefusal, makeCard, type PeerCard, peerCardSchema, refusalOfCard } from "./card.ts";

const random = new SeededRandom(9);
const identity = new Identity(generateSecrets(random), portablePrimitives);
const stranger = new Identity(generateSecrets(random), portablePrimitives);
const claims = {
  label: "Ada's laptop",
  region: "eu",
  addresses: ["0.0.0.0:4100", "192.0.2.7:4100"],
  relays: [{ relayId: stranger.peerId, url: "https://relay.example/" }],
  capabilities: ["files"],
  issuedAtMs: 1_790_000_000_000,
};

Deno.test("a card is believed as its peer made it, also after it was passed on as JSON", () => {
  for (const said of [claims, { ...claims, region: undefined, url: "https://r.example/", capabilities: ["relay"] }]) {
    const card = makeCard(identity, said);
    assertEquals(refusalOfCard(card, portablePrimitives), undefined);
    const passedOn = peerCardSchema.parse(JSON.parse(JSON.stringify(card)));
    assertEquals(refusalOfCard(passedOn, portablePrimitives), undefined);
  }
});

Deno.test("whatever is changed in a card is seen", () => {
  const card = makeCard(identity, claims);
  const other = makeCard(stranger, claims);
  const table: [what: string, change: Partial<PeerCard>, refusal: CardRefusal][] = [
    ["label", { label: "Eve's" }, "bad_signature"],
    ["region", { region: "us" }, "bad_signature"],
    ["no region", { region: undefined }, "bad_signature"],
    ["an address more", { addresses: [...card.addresses, "198.51.100.1:1"] }, "bad_signature"],
    ["another relay", { relays: [{ relayId: other.peerId, url: "https://evil.example/" }] }, "bad_signature"],
    ["a capability", { capabilities: ["files", "relay"] }, "bad_signature"],
    ["a url", { url: "https://evil.example/" }, "bad_signature"],
    ["its time", { issuedAtMs: card.issuedAtMs + 1 }, "bad_signature"],
    ["another's signature", { signature: other.signature }, "bad_signature"],
    ["another's sealing key", { sealingKey: other.sealingKey }, "bad_binding"],
    [
      "another's sealing key with its signature",
      { sealingKey: other.sealingKey, sealingKeySignature: other.sealingKeySignature },
      "bad_binding",
    ],
    ["another's public key", { publicKey: other.publicKey }, "wrong_peer_id"],
    ["another's name", { peerId: other.peerId }, "wrong_peer_id"],
    ["no base64", { signature: "?" }, "malformed"],
  ];
  for (const [what, change, refusal] of table) {
    assertEquals(refusalOfCard({ ...card, ...change }, portablePrimitives), refusal, what);
  }
});
