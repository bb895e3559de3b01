/**
 * What base's dashboard shows and does: supernodes and relays of the store, whichever process on it they have come to, and
 * turning them away. Of sessions and clients base knows nothing.
 */

import deno from "../../deno.json" with { type: "json" };
import type { Deed, DeedOutcome, Inventory, NetworkSource, SourceEvent } from "../../edge/dashboard/inventory.ts";
import type { BlockStore } from "../../kv/blocks.ts";
import type { DirectoryStore } from "../../kv/directory.ts";
import type { BlockKind } from "../../protocol/stored_records.ts";
import type { BlockDeeds } from "../admin_api/block_deeds.ts";
import type { HeardAudit } from "../admin_api/heard_audit.ts";
import { attempt, failed, outcomeOf } from "../dashboard/outcomes.ts";
import { blockBody } from "../admin_api/schema.ts";
import { relayFactsOf, supernodeFactsOf } from "./facts.ts";

export interface BaseSourceDeps {
  readonly store: DirectoryStore;
  readonly blocks: Pick<BlockStore, "list">;
  readonly audit: Pick<HeardAudit, "listen">;
  readonly deeds: BlockDeeds;
}

export class BaseSource implements NetworkSource {
  readonly title = "Base";
  readonly kind = "base";
  readonly version = deno.version;
  readonly deeds = ["block", "unblock", "revoke", "unrevoke"] as const;
  readonly #deps: BaseSourceDeps;

  constructor(deps: BaseSourceDeps) {
    this.#deps = deps;
  }

  async inventory(): Promise<Inventory> {
    const { store, blocks } = this.#deps;
    const [supernodes, relays, blocked] = await Promise.all([
      store.supernodes.list(),
      store.relays.list(),
      blocks.list(),
    ]);
    const listed = relays.map(({ gateways = [], ...relay }) => ({
      ...relay,
      gateways: gateways.map(({ gatewayId }) => gatewayId),
    }));
    return {
      supernodes: supernodes.map(supernodeFactsOf),
      peers: relayFactsOf(listed),
      sessions: [],
      links: [],
      blocked: new Set([...blocked].map(({ peerId }) => peerId)),
    };
  }

  act(deed: Deed): Promise<DeedOutcome> {
    return attempt(() => this.#act(deed));
  }

  listen(hear: (event: SourceEvent) => void): Disposable {
    return this.#deps.audit.listen(hear);
  }

  async #act(deed: Deed): Promise<DeedOutcome> {
    switch (deed.kind) {
      case "block":
        return await this.#block("supernode", deed.supernodeId, deed.reason);
      case "revoke":
        return await this.#block("peer", deed.peerId, deed.reason);
      case "unblock":
        return await this.#unblock("supernode", deed.supernodeId);
      case "unrevoke":
        return await this.#unblock("peer", deed.peerId);
      default:
        return failed("bad_request", `Base cannot ${deed.kind.replaceAll("_", " ")}.`);
    }
  }

  async #block(kind: BlockKind, peerId: string, reason: string | undefined): Promise<DeedOutcome> {
    const body = blockBody.safeParse({ kind, peerId, reason });
    if (!body.success) return failed("bad_request", "It must be a peer id, with a reason of at most 1,024 letters.");
    return outcomeOf(await this.#deps.deeds.block(body.data), () => `${peerId} is neither heard nor named any more.`);
  }

  async #unblock(kind: BlockKind, peerId: string): Promise<DeedOutcome> {
    return outcomeOf(await this.#deps.deeds.unblock(kind, peerId), () => `${peerId} may come again.`);
  }
}
