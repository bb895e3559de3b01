import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type Candidate, type ChoiceQuality, chooseNode, fits, type Pool, weightOf } from "./choice.ts";

function node(nodeId: string, more: Partial<Candidate> = {}): Candidate {
  return { nodeId, country: "de", region: "eu-west", city: "berlin", isOpen: true, streams: 0, ...more };
}

const DRAWS = 20_000;

/** How often each was chosen, as a share. */
function shares(
  pool: Pool<Candidate>,
  quality: Record<string, Partial<ChoiceQuality>>,
  tried?: ReadonlySet<string>,
): Map<string | undefined, number> {
  const options = {
    quality: (nodeId: string) => ({ score: 1, standing: "good" as const, ...quality[nodeId] }),
    random: new SeededRandom(8),
    ...(tried && { tried }),
  };
  const counts = new Map<string | undefined, number>();
  for (let turn = 0; turn < DRAWS; turn++) {
    const chosen = chooseNode(pool, options)?.nodeId;
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1 / DRAWS);
  }
  return counts;
}

function near(share: number | undefined, expected: number): void {
  assert(Math.abs((share ?? 0) - expected) < 0.02, `a share of ${share}, and not of ${expected}`);
}

Deno.test("Nodes as good as each other and as busy share alike", () => {
  const got = shares({ proven: ["a", "b", "c", "d"].map((id) => node(id)), newcomers: [] }, {});
  for (const id of ["a", "b", "c", "d"]) near(got.get(id), 0.25);
});

Deno.test("A node twice as good gets more than four times as much, since it also carries more before it counts as busy", () => {
  const got = shares({ proven: [node("good"), node("poor")], newcomers: [] }, { poor: { score: 0.5 } });
  assert(got.get("good")! / got.get("poor")! > 4);
  assert(got.get("poor")! > 0, "the poor one is tried now and then");
});

Deno.test("Of two drawn the less busy one wins", () => {
  const got = shares({ proven: [node("idle"), node("busy", { streams: 100 })], newcomers: [] }, {});
  near(got.get("idle"), 0.75);
});

Deno.test("A tenth at most goes to newcomers, of many no more than their number, and all of it where nobody else is", () => {
  const quality = { new: { standing: "probation" as const, score: 0.3 } };
  near(shares({ proven: [node("a"), node("b")], newcomers: [node("new")] }, quality).get("new"), 0.1);
  near(shares({ proven: [], newcomers: [node("new")] }, quality).get("new"), 1);
  const many = Array.from({ length: 99 }, (_, at) => node(`n${at}`));
  const among = shares({ proven: many, newcomers: [node("new")] }, quality).get("new")!;
  assert(among > 0.005 && among < 0.015, `one in a hundred got ${among}`);
});

Deno.test("Who is closed, was tried, is quarantined or banned is never chosen, and the rest still are", () => {
  const pool = {
    proven: [node("closed", { isOpen: false }), node("tried"), node("quarantined"), node("banned"), node("left")],
    newcomers: [],
  };
  const quality = { quarantined: { standing: "quarantined" as const }, banned: { standing: "banned" as const } };
  near(shares(pool, quality, new Set(["tried"])).get("left"), 1);
  near(shares(pool, quality, new Set(["tried", "left"])).get(undefined), 1);
});

Deno.test("The only one of many that will do is found", () => {
  const proven = Array.from({ length: 5000 }, (_, at) => node(`n${at}`, { isOpen: at === 4321 }));
  assertEquals(
    chooseNode({ proven, newcomers: [] }, {
      quality: () => ({ score: 0.1, standing: "good" }),
      random: new SeededRandom(1),
    })?.nodeId,
    "n4321",
  );
});

Deno.test("A flagged node weighs a quarter", () => {
  assertEquals(weightOf({ score: 0.8, standing: "flagged" }), weightOf({ score: 0.8, standing: "good" }) / 4);
  assertEquals(weightOf({ score: 1, standing: "banned" }), 0);
  assert(weightOf({ score: 0, standing: "good" }) > 0);
});

const wanted = [
  { name: "anything", choice: {}, isFit: true },
  { name: "its country", choice: { country: "de" }, isFit: true },
  { name: "another country", choice: { country: "fr" }, isFit: false },
  { name: "its region and city", choice: { region: "eu-west", city: "berlin" }, isFit: true },
  { name: "its country, and another city", choice: { country: "de", city: "bonn" }, isFit: false },
  { name: "itself", choice: { nodeId: "a" }, isFit: true },
  { name: "another node", choice: { nodeId: "b" }, isFit: false },
];

for (const { name, choice, isFit } of wanted) {
  Deno.test(`A node ${isFit ? "fits" : "does not fit"} who wants ${name}`, () => {
    assertEquals(fits(node("a"), choice), isFit);
  });
}
