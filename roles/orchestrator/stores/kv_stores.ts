/**
 * Everything in one Deno KV, which one process at a time may write to. Whoever comes with the same identity takes it over;
 * then `lost` settles here, and nothing that is under way changes what the newer one has read.
 */

import { createKvLeases } from "../../../kv/leases.ts";
import { createKvAuditLog } from "../../../kv/sharing/kv_audit_log.ts";
import { createKvLedger } from "../../../kv/sharing/kv_ledger.ts";
import { createKvTable } from "../../../kv/sharing/kv_table.ts";
import { createSharingTables } from "../../../kv/sharing/tables.ts";
import { StoreHealth } from "../../../kv/store_health.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { openRoleKv } from "../../kv_store.ts";
import type { LastingStores, StoreContext, StoreSettings } from "../stores.ts";

export async function openKvStores(
  settings: Pick<StoreSettings, "kv">,
  { clock, log, metrics, check, stateDir }: StoreContext,
  { space }: { readonly space: string },
): Promise<LastingStores & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const kv = opened.use(await openRoleKv(settings, { role: "orchestrator", stateDir }));
  const lease = await createKvLeases(kv, clock, { space }).take(`process ${Deno.pid}`);
  const health = new StoreHealth(kv, { space, guard: { fence: lease.fence }, clock, log, metrics });
  check("store", () => health.problem);
  const { promise: lost, resolve } = Promise.withResolvers<CulvertError>();
  const stop = new AbortController();
  const watching = Promise.all([
    health.run(stop.signal),
    lease.lost(stop.signal).then((by) => by && resolve(overtaken(by.holder))),
  ]);
  opened.defer(async () => {
    stop.abort();
    await watching;
  });
  const guarded = { space, guard: health.guard };
  const kept = opened.move();
  return {
    tables: createSharingTables((spec) => createKvTable(kv, clock, spec, guarded)),
    audit: createKvAuditLog(kv, clock, guarded),
    ledger: createKvLedger(kv, clock, guarded),
    lost,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function overtaken(holder: string): CulvertError {
  return new CulvertError(
    "overtaken",
    `Cannot go on with this store: ${holder} has taken it over with the same identity. Several orchestrators that ` +
      "share accounts need --database.",
  );
}
