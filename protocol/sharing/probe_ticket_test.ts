import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { ProbeTickets } from "./probe_ticket.ts";

const tickets = new ProbeTickets(new Uint8Array(32).fill(7));
const others = new ProbeTickets(new Uint8Array(32).fill(8));
const random = new SeededRandom(1);
const ticket = tickets.issue(1000, random);

Deno.test("a ticket is good until it expires, and only where it was made", () => {
  assert(tickets.isValid(ticket, 999));
  assertEquals(tickets.isValid(ticket, 1000), false);
  assertEquals(others.isValid(ticket, 0), false);
  assert(tickets.issue(1000, random) !== ticket);
});

Deno.test("a ticket that was changed anywhere is none", () => {
  fc.assert(fc.property(fc.nat(ticket.length - 1), fc.constantFrom("A", "B", "-", "=", "", " "), (at, letter) => {
    const changed = ticket.slice(0, at) + letter + ticket.slice(at + 1);
    assertEquals(tickets.isValid(changed, 0), changed === ticket);
  }));
});

Deno.test("no text makes the check of a ticket or of a proof throw", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    assertEquals(tickets.isValid(text, 0), false);
    assertEquals(tickets.isProof(text, ticket, "192.0.2.1", 0), false);
  }));
});

Deno.test("a proof fits one ticket, one address and one number of bytes", () => {
  const proof = tickets.proof(ticket, "192.0.2.1", 5);
  assert(tickets.isProof(proof, ticket, "192.0.2.1", 5));
  assertEquals(tickets.isProof(proof, tickets.issue(1000, random), "192.0.2.1", 5), false);
  assertEquals(tickets.isProof(proof, ticket, "192.0.2.2", 5), false);
  assertEquals(tickets.isProof(proof, ticket, "192.0.2.1", 6), false);
  assertEquals(others.isProof(proof, ticket, "192.0.2.1", 5), false);
});
