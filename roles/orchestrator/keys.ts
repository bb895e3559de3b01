/**
 * The orchestrator's own secrets beside its identity: all are made from that, so the identity is the one thing to keep and to
 * copy to another process of the same orchestrator.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Identity } from "../../protocol/identity.ts";

export interface OrchestratorKeys {
  /** Ed25519 secret keys that access tokens are signed with; the first one signs. */
  readonly tokenKeys: readonly Uint8Array[];
  readonly refreshKey: Uint8Array;
  readonly probeKey: Uint8Array;
}

export function orchestratorKeys(identity: Identity): OrchestratorKeys {
  const { identityKey } = identity.secrets();
  const make = (purpose: string) => hmac(sha256, identityKey, new TextEncoder().encode(`culvert/${purpose}/v1`));
  return {
    tokenKeys: [make("access-token")],
    refreshKey: make("refresh-token"),
    probeKey: make("probe"),
  };
}
