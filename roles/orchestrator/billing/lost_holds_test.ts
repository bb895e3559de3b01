import { assert, assertEquals } from "@std/assert";
import { clientAccount, HOLDS_ACCOUNT, transferId } from "../../../protocol/sharing/ledger.ts";
import { BoothRig, carry, CLIENT, fare, MIB } from "./fixtures/booth.ts";

const MIB_MICROS = 1000n;

Deno.test("of a hold that was lost as much is charged as there still is, and the ledger does not grow by asking for the rest", async () => {
  const rig = new BoothRig();
  await rig.fund(5n * MIB_MICROS);
  const toll = await rig.booth.open(fare());
  assertEquals(await carry(toll, MIB + MIB / 2), MIB + MIB / 2);
  toll[Symbol.dispose]();
  // The process stood still until its hold had expired, and meanwhile the money went elsewhere but for a little.
  const [hold] = await rig.ledger.pending(clientAccount(CLIENT));
  const accounts = { debit: clientAccount(CLIENT), reason: "correction" } as const;
  const [outcome] = await rig.ledger.apply([{
    id: "elsewhere",
    transfers: [
      { ...accounts, id: transferId("elsewhere", "v"), phase: "void", credit: HOLDS_ACCOUNT, pendingId: hold!.id },
      { ...accounts, id: transferId("elsewhere", "1"), phase: "posted", credit: "promotions", amount: 4_400n },
    ],
  }]);
  assertEquals(outcome?.status, "applied");
  for (let tick = 0; tick < 200; tick++) await rig.clock.advanceAsync(1000);
  assertEquals([await rig.earned(), await rig.available(), await rig.held()], [480n, 0n, 0n]);
  const rows = await rig.ledger.transfers(clientAccount(CLIENT), { limit: 1000 });
  assert(rows.length < 20, `${rows.length} rows`);
  // What was delivered and not paid is charged once there is money again.
  await rig.fund(MIB_MICROS, CLIENT);
  await rig.clock.advanceAsync(3000);
  assertEquals(await rig.earned(), 1200n);
  await rig.close();
});
