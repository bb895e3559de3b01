import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { StickySessions } from "./sticky.ts";

Deno.test("A session stays with its node as long as it is used, and its account alone has it", () => {
  const sticky = new StickySessions();
  sticky.use("ann", "s", { nodeId: "n1", ttlMs: 100, nowMs: 0 });
  assertEquals(sticky.nodeOf("ann", "s", 99), "n1");
  assertEquals(sticky.nodeOf("bob", "s", 0), undefined);
  sticky.use("ann", "s", { nodeId: "n1", ttlMs: 100, nowMs: 99 });
  assertEquals(sticky.nodeOf("ann", "s", 198), "n1");
  assertEquals(sticky.nodeOf("ann", "s", 199), undefined);
  assertEquals(sticky.size, 0);
});

Deno.test("A session that is bound anew is at the new node", () => {
  const sticky = new StickySessions();
  sticky.use("ann", "s", { nodeId: "n1", ttlMs: 100, nowMs: 0 });
  sticky.use("ann", "s", { nodeId: "n2", ttlMs: 100, nowMs: 1 });
  assertEquals(sticky.nodeOf("ann", "s", 2), "n2");
  assertEquals(sticky.size, 1);
});

Deno.test("An account with as many as it may have loses the one unused for the longest, and nobody else does", () => {
  const sticky = new StickySessions({ maxPerAccount: 2 });
  const forever = { nodeId: "n", ttlMs: 1e9, nowMs: 0 };
  sticky.use("bob", "b", forever);
  for (const id of ["1", "2"]) sticky.use("ann", id, forever);
  sticky.use("ann", "1", forever);
  sticky.use("ann", "3", forever);
  assertEquals(["1", "2", "3"].map((id) => sticky.nodeOf("ann", id, 1)), ["n", undefined, "n"]);
  assertEquals(sticky.nodeOf("bob", "b", 1), "n");
});

Deno.test("There are never more than allowed, and the last one used is always there", () => {
  const uses = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.integer({ min: 0, max: 20 })), { maxLength: 200 });
  fc.assert(fc.property(uses, (all) => {
    const sticky = new StickySessions({ maxSessions: 10, maxPerAccount: 6 });
    for (const [at, [user, id]] of all.entries()) {
      sticky.use(user, `${id}`, { nodeId: `n${at}`, ttlMs: 50, nowMs: at });
      assertEquals(sticky.nodeOf(user, `${id}`, at), `n${at}`);
      assert(sticky.size <= 10);
    }
  }));
});
