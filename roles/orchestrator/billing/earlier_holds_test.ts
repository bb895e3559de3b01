import { assertEquals } from "@std/assert";
import { BoothRig, carry, fare, MIB, mortal } from "./fixtures/booth.ts";

const MIB_MICROS = 1000n;

Deno.test("the next run takes back what a killed one had held, and leaves other orchestrators' holds alone", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const killed = rig.booth;
  await killed.open(fare());
  const other = rig.newBooth({ name: "other" });
  await other.open(fare());
  assertEquals(await rig.held(), 8n * MIB_MICROS);
  const toll = await rig.newBooth().open(fare());
  assertEquals(await rig.held(), 8n * MIB_MICROS);
  toll[Symbol.dispose]();
  await rig.clock.runUntil(Promise.all([killed.close(), rig.booth.close()]));
  assertEquals(await rig.held(), 4n * MIB_MICROS);
  await rig.clock.runUntil(other.close());
  await rig.close();
});

Deno.test("of several processes of one orchestrator none takes what another holds", async () => {
  const rig = new BoothRig({ isOneOfMany: true });
  await rig.fund(6n * MIB_MICROS);
  const first = rig.booth;
  const toll = await first.open(fare());
  assertEquals(await carry(toll, MIB), MIB);
  const second = rig.newBooth();
  const other = await second.open(fare());
  assertEquals(await carry(other, 100 * MIB), 2 * MIB);
  for (const each of [toll, other]) each[Symbol.dispose]();
  await rig.clock.runUntil(Promise.all([first.close(), second.close()]));
  assertEquals([await rig.charged(), await rig.held(), await rig.available()], [3n * MIB_MICROS, 0n, 3n * MIB_MICROS]);
});

Deno.test("what a killed orchestrator had held expires when its client does not come again", async () => {
  const rig = new BoothRig();
  await rig.fund(1_000_000n);
  const { ledger, die } = mortal(rig.ledger);
  await rig.newBooth({ ledger, name: "killed" }).open(fare());
  die();
  const other = rig.newBooth({ name: "other" });
  await rig.clock.advanceAsync(59_000);
  assertEquals(await rig.held(), 4n * MIB_MICROS);
  await rig.clock.advanceAsync(17_000);
  assertEquals(await rig.held(), 0n);
  await rig.clock.runUntil(other.close());
});
