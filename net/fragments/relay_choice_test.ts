import { assert, assertEquals, assertGreater } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { drawCentral, drawRelays } from "./relay_choice.ts";

const relay = (relayId: string, load = 0) => ({ relayId, load });
const ids = (relays: readonly { relayId: string }[]) => relays.map(({ relayId }) => relayId);

Deno.test("relays are drawn by what they have to spare, each once", () => {
  const random = new SeededRandom(1);
  const relays = [relay("idle", 0), relay("half", 0.5), relay("full", 1)];
  const first = { idle: 0, half: 0, full: 0 };
  for (let run = 0; run < 1000; run++) {
    const drawn = ids(drawRelays(relays, 2, { random }));
    assertEquals(new Set(drawn).size, 2);
    first[drawn[0] as keyof typeof first]++;
  }
  assertGreater(first.idle, first.half * 1.5);
  assertGreater(first.half, first.full * 5);
  assertGreater(first.full, 0);
});

Deno.test("those that are avoided are drawn only when the others do not suffice", () => {
  const random = new SeededRandom(2);
  const relays = [relay("a"), relay("b"), relay("c")];
  const isAvoided = (id: string) => id === "b";
  for (let run = 0; run < 50; run++) {
    assert(!ids(drawRelays(relays, 2, { random, isAvoided })).includes("b"));
  }
  assertEquals(ids(drawRelays(relays, 3, { random, isAvoided })).at(-1), "b");
  assertEquals(drawRelays(relays, 5, { random, isAvoided }).length, 3);
  assertEquals(drawRelays([], 2, { random }), []);
});

Deno.test("sessions are spread over the centrals, and one that has failed gets none while there are others", () => {
  const random = new SeededRandom(3);
  const centrals = [relay("a"), relay("b", 0.9), relay("c")];
  const sessions: Record<string, number> = { a: 1, b: 0, c: 1 };
  const at = (id: string) => sessions[id]!;
  assertEquals(drawCentral(centrals, at, { random })?.relayId, "b");
  const isAvoided = (id: string) => id !== "c";
  assertEquals(drawCentral(centrals, at, { random, isAvoided })?.relayId, "c");
  assertEquals(drawCentral(centrals, at, { random, isAvoided: () => true })?.relayId, "b");
  assertEquals(drawCentral([], at, { random }), undefined);
});
