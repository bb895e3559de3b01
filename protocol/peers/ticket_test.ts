import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { encodeBase32, encodeBase64Url } from "../encoding.ts";
import { generateSecrets, Identity } from "../identity.ts";
import { portablePrimitives } from "../primitives.ts";
import { makeCard } from "./card.ts";
import { decodeTicket, encodeTicket, looksLikeTicket, type Ticket } from "./ticket.ts";

const random = new SeededRandom(12);
const identity = new Identity(generateSecrets(random), portablePrimitives);
const relayId = new Identity(generateSecrets(random), portablePrimitives).peerId;
const SECRET = encodeBase64Url(random.fill(new Uint8Array(16)));

function ticketWith({ region, ...rest }: Partial<Ticket> & { readonly region?: string } = {}): Ticket {
  const card = makeCard(identity, {
    label: "Ada's laptop",
    region,
    addresses: ["192.0.2.7:4100", "[2001:db8::7]:4100"],
    relays: [{ relayId, url: "https://relay.example/" }],
    capabilities: ["files"],
    issuedAtMs: 1_790_000_000_000,
  });
  return { card, path: "holidays/Zürich 2026.mp4", invitation: SECRET, ...rest };
}

/** Signing takes its time, so there are few cards. */
const cards = [ticketWith().card, ticketWith({ region: "eu" }).card].concat(
  makeCard(identity, {
    ...{ label: "é".repeat(32), addresses: [], relays: [], capabilities: ["relay"], url: "https://r.example/" },
    issuedAtMs: 0,
  }),
  makeCard(identity, {
    ...{ label: "x", addresses: ["a:1"], relays: [], capabilities: [], issuedAtMs: 2 ** 48 - 1 },
    certificate: `culvert-cert-v1.${"A".repeat(1920)}.${"B".repeat(86)}`,
  }),
);

const anyTicket: fc.Arbitrary<Ticket> = fc.record({
  card: fc.constantFrom(...cards),
  path: fc.string({ unit: "grapheme", maxLength: 200 }),
  invitation: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(encodeBase64Url),
  root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.toHex()),
  expiresAtMs: fc.nat({ max: 2 ** 48 - 1 }),
  size: fc.nat({ max: 2 ** 48 - 1 }),
}, { requiredKeys: ["card", "path"] });

Deno.test("a ticket is read as it was written, in large letters and in small ones", () => {
  fc.assert(
    fc.property(anyTicket, (ticket) => {
      const text = encodeTicket(ticket, portablePrimitives);
      const read = JSON.stringify(sorted(decodeTicket(text, portablePrimitives)));
      assertEquals(read, JSON.stringify(sorted(ticket)));
      assertEquals(
        decodeTicket(`  ${text.toLowerCase()}\n`, portablePrimitives),
        decodeTicket(text, portablePrimitives),
      );
    }),
    { numRuns: 40 },
  );
});

Deno.test("a ticket is one line in the letters of a QR code, and the code fits a terminal of 80 columns", () => {
  const text = encodeTicket(ticketWith({ root: "ab".repeat(32), expiresAtMs: 1_800_000_000_000 }), portablePrimitives);
  assert(/^CULVERT:[A-Z2-7]+$/.test(text));
  // 619 letters are what version 13 holds, 69 modules wide, with a frame of 4 on each side.
  assert(text.length <= 619, `${text.length} letters`);
});

Deno.test("whatever is changed in a ticket is seen", () => {
  const text = encodeTicket(ticketWith(), portablePrimitives).toLowerCase();
  const start = "culvert:".length;
  fc.assert(
    fc.property(fc.nat({ max: text.length - start - 1 }), fc.constantFrom(..."abcxyz27"), (at, letter) => {
      const changed = text.slice(0, start + at) + letter + text.slice(start + at + 1);
      fc.pre(changed !== text);
      assertEquals(decodeTicket(changed, portablePrimitives), "damaged");
    }),
    { numRuns: 200 },
  );
  for (let length = start; length < text.length; length += 7) {
    assertEquals(decodeTicket(text.slice(0, length), portablePrimitives), "damaged");
  }
});

Deno.test("a card in a ticket must be its peer's own words, whatever the check says", () => {
  const forged = { ...ticketWith().card, label: "Eve's laptop" };
  const text = encodeTicket(ticketWith({ card: forged }), portablePrimitives);
  assertEquals(decodeTicket(text, portablePrimitives), "damaged");
});

Deno.test("a ticket of another version, and what is none, are told apart", () => {
  const bytes = Uint8Array.of(2, 0, 0);
  const check = portablePrimitives.sha256(bytes).subarray(0, 4);
  const other = "culvert:" + encodeBase32(Uint8Array.of(...bytes, ...check));
  assertEquals(decodeTicket(other, portablePrimitives), "unknown_version");
  for (const text of ["", "culver", "https://example/", "culvert", "x".repeat(40_000)]) {
    assertEquals(decodeTicket(text, portablePrimitives), "no_ticket");
  }
  assert(looksLikeTicket(" CULVERT:A") && !looksLikeTicket("culvert"));
});

Deno.test("no text, and no bytes with a right check, make reading a ticket throw", () => {
  const anyBytes = fc.uint8Array({ maxLength: 600, size: "max" }).map((bytes) => Uint8Array.of(1, ...bytes));
  fc.assert(fc.property(fc.oneof(fc.string(), anyBytes), (any) => {
    const checked = typeof any === "string" ? any : "culvert:" + encodeBase32(
      Uint8Array.of(...any, ...portablePrimitives.sha256(any).subarray(0, 4)),
    );
    assert(typeof decodeTicket(checked, portablePrimitives) === "string");
  }));
});

/** With the keys of all objects in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined).sort(([a], [b]) => a < b ? -1 : 1)
      .map(([key, each]) => [key, sorted(each)]),
  );
}
