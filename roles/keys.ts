/**
 * `culvert keys`: shows who this peer is, making its keys on first use. Only what is public is ever printed.
 */

import { z } from "zod";
import { hostPrimitives } from "../net/host_primitives.ts";
import type { Clock } from "../protocol/clock.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import type { Random } from "../protocol/random.ts";
import { loadOrCreateIdentity } from "./identity_store.ts";
import { runRole } from "./role.ts";
import { StateDirectory } from "./state.ts";

/** The public half of an identity, as printed with `--json`. */
export interface PublicKeys {
  readonly peerId: string;
  readonly publicKey: string;
  readonly wireguardPublicKey: string;
  readonly stateDir: string;
  /** Whether the keys were made just now. */
  readonly created: boolean;
}

/** What the role uses of its context. */
export interface KeysContext {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly stateDir: string;
  readonly json: boolean;
  print(line: string): void;
}

/** The keys kept in a state directory, made if there are none. */
export async function publicKeys(context: Omit<KeysContext, "json" | "print">): Promise<PublicKeys> {
  const { signal, clock, random, stateDir } = context;
  const state = await StateDirectory.open(stateDir);
  const tools = { random, primitives: hostPrimitives(), clock, signal };
  const { identity, created } = await loadOrCreateIdentity(state, tools);
  return {
    peerId: identity.peerId,
    publicKey: encodeBase64(identity.publicKey),
    wireguardPublicKey: encodeBase64(identity.wireguardPublicKey),
    stateDir,
    created,
  };
}

const config = z.object({});

export const role = {
  name: "keys",
  summary: "Shows this peer's id and public keys, making them on first use.",
  config,
  examples: ["culvert keys", "culvert keys --json --state-dir /var/lib/culvert"],
  longRunning: false,
  async run(_config: z.output<typeof config>, context: KeysContext): Promise<void> {
    const keys = await publicKeys(context);
    if (context.json) return context.print(JSON.stringify(keys));
    context.print(`peer id               ${keys.peerId}${keys.created ? "  (new)" : ""}`);
    context.print(`identity public key   ${keys.publicKey}`);
    context.print(`WireGuard public key  ${keys.wireguardPublicKey}`);
    context.print(`kept in               ${keys.stateDir}`);
  },
};

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
