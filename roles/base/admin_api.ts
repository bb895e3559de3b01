/**
 * What an administrator may see and do at base, over HTTP with a token, on a port of its own. docs/base.md has the table.
 *
 *   GET   status, supernodes, relays, blocks, audit     what there is, a page at a time
 *   POST, DELETE   blocks                               whom base neither hears nor shows; in the audit log
 */

import type { Hono } from "hono";
import deno from "../../deno.json" with { type: "json" };
import { openApiOf } from "../../edge/openapi.ts";
import type { AuditStore } from "../../kv/audit.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { DirectoryStore } from "../../kv/directory.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { RelayRecord, SupernodeRecord } from "../../protocol/directory.ts";
import { addBlockDeeds, type BlockDeeds } from "../admin_api/block_deeds.ts";
import { type AdminAppDeps, createAdminApp } from "../admin_api/http.ts";
import { addAudit, addList } from "../admin_api/lists.ts";
import { blockPage, pageOf } from "../admin_api/page.ts";
import { baseAdminApi } from "./admin_operations.ts";
import type { BaseStatusAnswer, RelayView, SupernodeView } from "./admin_schema.ts";

export interface BaseAdminDeps extends AdminAppDeps {
  readonly store: DirectoryStore;
  readonly blocks: BlockStore;
  readonly audit: AuditStore;
  readonly deeds: BlockDeeds;
  readonly clock: Clock;
}

export function createBaseAdminApi(deps: BaseAdminDeps): Hono {
  const app = createAdminApp(deps, () => openApiOf(baseAdminApi(deno.version)));
  const { store, blocks, audit, deeds, clock } = deps;
  const startedMs = clock.now();
  app.get("/v1/status", async (context) => {
    const [supernodes, relays, blocked] = await Promise.all([
      store.supernodes.list(),
      store.relays.list(),
      blocks.list(),
    ]);
    const status: BaseStatusAnswer = {
      role: "base",
      version: deno.version,
      upMs: Math.round(clock.now() - startedMs),
      supernodes: supernodes.length,
      relays: relays.length,
      blocks: blocked.size,
    };
    return context.json(status);
  });
  addList(app, "supernodes", async (query) => {
    const wanted = (await store.supernodes.list()).filter(({ supernodeId }) =>
      !query.peer || supernodeId === query.peer
    );
    return pageOf(wanted, query, { idOf: ({ supernodeId }) => supernodeId, view: supernodeViewOf });
  });
  addList(app, "relays", async (query) => {
    const wanted = (await store.relays.list()).filter(({ relayId }) => !query.peer || relayId === query.peer);
    return pageOf(wanted, query, { idOf: ({ relayId, kind }) => `${relayId} ${kind}`, view: relayViewOf });
  });
  addList(app, "blocks", async (query) => blockPage(await blocks.list(), query));
  addAudit(app, audit);
  addBlockDeeds(app, deeds, deps);
  return app;
}

function supernodeViewOf(record: SupernodeRecord): SupernodeView {
  const { supernodeId, region, url, maxStreams, version, status, registeredAtMs, heartbeatAtMs } = record;
  return { supernodeId, region, url, maxStreams, version, status, registeredAtMs, heartbeatAtMs };
}

/** Without keys and certificates, which nobody asks for. */
function relayViewOf(record: RelayRecord): RelayView {
  const { relayId, kind, region, url, load, bandwidthMbps, version, registeredAtMs, gateways = [] } = record;
  return {
    ...{ relayId, kind, region, url, load, version, registeredAtMs },
    ...(bandwidthMbps !== undefined && { bandwidthMbps }),
    gateways: gateways.map(({ gatewayId }) => gatewayId),
  };
}
