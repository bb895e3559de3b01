import { assert, assertEquals, assertMatch } from "@std/assert";
import { createMemoryTable } from "../../../kv/sharing/memory_table.ts";
import { enrolmentsSpec } from "../../../kv/sharing/tables.ts";
import { portablePrimitives as primitives } from "../../../protocol/primitives.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import { Codes } from "./codes.ts";

const OWNER = "abcdefghijkl";
const NODE = "bbbbbbbbbbbbbbbbbbbbbbbbba";
const OTHER = "cccccccccccccccccccccccccm";

function start() {
  const clock = new FakeClock();
  const enrolments = createMemoryTable(clock, enrolmentsSpec);
  return { clock, enrolments, codes: new Codes({ enrolments, clock, primitives, random: new SeededRandom(5) }) };
}

Deno.test("a node's code counts once, for the node that showed it, however it was typed", async () => {
  const { codes } = start();
  const { code } = await codes.make({ kind: "node", label: "Attic", ownerId: OWNER });
  assertMatch(code, /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/);
  const typed = ` ${code.toUpperCase().replaceAll("-", " ")} `;
  assertEquals((await codes.use(typed, "node", NODE))?.ownerId, OWNER);
  assertEquals((await codes.use(code, "node", NODE))?.ownerId, OWNER, "its answer was lost");
  assertEquals(await codes.use(code, "node", OTHER), undefined);
});

Deno.test("of two nodes that show one code at the same time one is let in", async () => {
  const { codes } = start();
  const { code } = await codes.make({ kind: "node", label: "Attic", ownerId: OWNER });
  const used = await Promise.all([codes.use(code, "node", NODE), codes.use(code, "node", OTHER)]);
  assertEquals(used.filter((each) => each !== undefined).length, 1);
});

Deno.test("a code ends after a day, an invitation after a week, and neither stands for the other", async () => {
  const { clock, codes } = start();
  const node = await codes.make({ kind: "node", label: "Attic", ownerId: OWNER });
  const account = await codes.make({ kind: "account", label: "Ada", roles: ["operator"] });
  assertEquals(await codes.look(node.code, "account"), undefined);
  assertEquals(await codes.look(account.code, "node"), undefined);
  clock.advance(86_400_000);
  assertEquals(await codes.look(node.code, "node"), undefined);
  assertEquals((await codes.look(account.code, "account"))?.roles, ["operator"]);
  clock.advance(6 * 86_400_000);
  assertEquals(await codes.look(account.code, "account"), undefined);
});

Deno.test("codes are listed and revoked by their owner, until they are used", async () => {
  const { codes } = start();
  const first = await codes.make({ kind: "node", label: "Attic", ownerId: OWNER });
  const second = await codes.make({ kind: "node", label: "Cellar", ownerId: OWNER });
  await codes.use(first.code, "node", NODE);
  const { codeId } = second.enrolment;
  assertEquals((await codes.list("node", OWNER)).map(({ label }) => label), ["Cellar"]);
  assertEquals(await codes.revoke(codeId, "node", "bbbbbbbbbbbb"), false);
  assertEquals(await codes.revoke(codeId, "account"), false);
  assertEquals(await codes.revoke(codeId, "node", OWNER), true);
  assertEquals(await codes.use(second.code, "node", NODE), undefined);
  assertEquals(await codes.revoke(first.enrolment.codeId, "node", OWNER), false);
});

Deno.test("nothing that is kept leads to a code", async () => {
  const { codes, enrolments } = start();
  const { code, enrolment } = await codes.make({ kind: "node", label: "Attic", ownerId: OWNER });
  const kept = JSON.stringify((await enrolments.get(enrolment.codeId))?.record);
  assert(!kept.includes(code.slice(0, 4)) && !kept.includes(code.replaceAll("-", "")));
});
