/**
 * A supernode's store, which one process at a time may write to. Whoever comes with the same identity takes it over;
 * then `lost` settles here, and nothing that is under way changes what the newer one has read.
 */

import { type AuditStore, createKvAudit } from "../../kv/audit.ts";
import { BLOCKS_SPACE, createKvBlocks } from "../../kv/blocks.ts";
import { createKvQueues } from "../../kv/commands.ts";
import { GroupCommit } from "../../kv/group_commit.ts";
import { createKvLeases } from "../../kv/leases.ts";
import { createKvNonces } from "../../kv/nonces.ts";
import { createKvRelayAddresses } from "../../kv/relay_addresses.ts";
import { createKvSessions } from "../../kv/sessions.ts";
import { StoreHealth } from "../../kv/store_health.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import type { SupernodeStores } from "./options.ts";

export interface OwnedStore {
  readonly stores: SupernodeStores;
  readonly audit: AuditStore;
  /** Settles with an error that says who, once another process has taken over. */
  readonly lost: Promise<CulvertError>;
}

/** Takes the store over. Disposing stops looking after it; it stays open. */
export async function openOwnedStore(
  kv: Deno.Kv,
  supernodeId: string,
  { clock, log, metrics, check }: Pick<RoleContext, "clock" | "log" | "metrics" | "check">,
): Promise<OwnedStore & AsyncDisposable> {
  const space = supernodeId;
  const lease = await createKvLeases(kv, clock, { space }).take(`process ${Deno.pid}`);
  const health = new StoreHealth(kv, { space, guard: { fence: lease.fence }, clock, log, metrics });
  check("store", () => health.problem);
  const { guard } = health;
  const stop = new AbortController();
  const watching = health.run(stop.signal);
  const { promise: lost, resolve } = Promise.withResolvers<CulvertError>();
  const listening = lease.lost(stop.signal).then((by) => by && resolve(overtaken(supernodeId, by.holder)));
  const commits = new GroupCommit({ kv, clock, guard }, "save sessions and commands");
  return {
    stores: {
      queues: createKvQueues(kv, clock, { space, guard, commits }),
      sessions: createKvSessions(kv, clock, { space, guard, commits }),
      nonces: createKvNonces(kv, clock, { space, guard }),
      relayAddresses: createKvRelayAddresses(kv, clock, { space, guard }),
      blocks: createKvBlocks(kv, clock, { space: BLOCKS_SPACE, guard: { ...guard, fence: undefined } }),
    },
    audit: createKvAudit(kv, clock, { space, guard }),
    lost,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all([watching, listening]);
    },
  };
}

function overtaken(supernodeId: string, holder: string): CulvertError {
  return new CulvertError(
    "overtaken",
    `Cannot go on as supernode ${supernodeId}: ${holder} has taken over its identity on this store. Several ` +
      "supernodes on one store each need a state directory of their own.",
  );
}
