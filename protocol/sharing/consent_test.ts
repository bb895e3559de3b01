import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { generateSecrets, Identity } from "../identity.ts";
import { portablePrimitives as primitives } from "../primitives.ts";
import { consentProblem, consentTextHash, consentTexts, currentConsentText, giveConsent } from "./consent.ts";
import { type Consent, consentSchema } from "./records.ts";

const NOW_MS = Date.UTC(2026, 0, 2);
const identity = new Identity(generateSecrets(new SeededRandom(1)), primitives);
const other = new Identity(generateSecrets(new SeededRandom(2)), primitives);
const giver = { nodeId: identity.peerId, publicKey: identity.publicKey };
const consent = giveConsent(identity, { primitives, atMs: NOW_MS });

function problemOf(changed: Partial<Consent>, who = giver): string | undefined {
  return consentProblem({ ...consent, ...changed }, who, { primitives, nowMs: NOW_MS });
}

Deno.test("a consent that was given is good, and fits its record", () => {
  assertEquals(problemOf({}), undefined);
  assertEquals(consentSchema.parse(consent), consent);
});

Deno.test("no word of a text changes under its version", () => {
  const hashes = consentTexts.map((text) => [text.version, consentTextHash(text, primitives)]);
  assertEquals(hashes, [["1", "KSmNjq9LjBaCMo0FrApv-Jk9CX6boCphpKNrJqUjTOE"]]);
});

Deno.test("each part of a consent counts", () => {
  const table: [string, Partial<Consent>, string][] = [
    ["another version", { version: "0" }, "not known"],
    ["another text", { textHash: "A".repeat(43) }, "another text"],
    ["another time", { atMs: NOW_MS - 1 }, "signature"],
    ["the future", { atMs: NOW_MS + 48 * 3_600_000 }, "future"],
    ["another's signature", { signature: giveConsent(other, { primitives, atMs: NOW_MS }).signature }, "signature"],
    ["no signature", { signature: "" }, "signature"],
  ];
  for (const [name, changed, words] of table) assert(problemOf(changed)?.includes(words), name);
  assert(problemOf({}, { ...giver, publicKey: other.publicKey })?.includes("not the node's"));
  assert(problemOf({}, { nodeId: other.peerId, publicKey: other.publicKey })?.includes("signature"));
});

Deno.test("whatever a stranger says is refused without an error", () => {
  const made = fc.record({
    version: fc.oneof(fc.constant(consent.version), fc.string()),
    textHash: fc.oneof(fc.constant(consent.textHash), fc.string()),
    atMs: fc.oneof(fc.constant(consent.atMs), fc.double()),
    signature: fc.string(),
  });
  const key = fc.oneof(fc.constant(identity.publicKey), fc.uint8Array());
  fc.assert(fc.property(made, key, (consent, publicKey) => {
    assert(consentProblem(consent, { ...giver, publicKey }, { primitives, nowMs: NOW_MS }) !== undefined);
  }));
});

Deno.test("the text says that one may stop, and stays readable", () => {
  const { paragraphs } = currentConsentText();
  assert(paragraphs.some((paragraph) => paragraph.includes("stop at any time")));
  assert(paragraphs.every((paragraph) => paragraph.length < 500 && !paragraph.includes("\n")));
});
