/**
 * Devices that run no Culvert, only a stock WireGuard app: this machine keeps what they are, under the name that the
 * administrator gave each.
 *
 *   STATE/peers/NAME/identity.json            the device's keys, made on first use and never overwritten
 *   STATE/peers/NAME/certificate-<network>    as any peer's
 *   STATE/peers/NAME/session.json             what was asked for it last, and what it was offered: nothing secret
 */

import { z } from "zod";
import { type Certificate, encodeCertificate } from "../../protocol/certificate.ts";
import { sessionOfferSchema } from "../../protocol/control/commands.ts";
import { relayModeSchema } from "../../protocol/control/packets.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { nameSchema, peerIdSchema, type PeerKeys } from "../../protocol/fields.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { StateLock } from "../state.ts";
import { StateDirectory } from "../state.ts";
import { type IdentityTools, loadCertificates, loadOrCreateIdentity } from "../identity_store.ts";

const DIRECTORY = "peers";
const SESSION_FILE = "session.json";

export const deviceNameSchema = nameSchema;

/** What an administrator may have asked for; what was left out may be anything. */
export const askedSchema = z.object({
  region: nameSchema.optional(),
  exit: peerIdSchema.optional(),
  relay: relayModeSchema.optional(),
  days: z.number().optional(),
});
export type Asked = z.infer<typeof askedSchema>;

export const keptSessionSchema = z.object({ asked: askedSchema, offer: sessionOfferSchema, peerId: peerIdSchema });
export type KeptSession = z.infer<typeof keptSessionSchema>;

export class KeptPeer {
  readonly name: string;
  readonly identity: Identity;
  readonly #state: StateDirectory;
  readonly #tools: IdentityTools;

  private constructor(name: string, identity: Identity, state: StateDirectory, tools: IdentityTools) {
    this.name = name;
    this.identity = identity;
    this.#state = state;
    this.#tools = tools;
  }

  /** The device of that name, made if there is none. */
  static async open(stateDir: string, name: string, tools: IdentityTools): Promise<KeptPeer> {
    const root = await StateDirectory.open(stateDir);
    const all = await StateDirectory.open(root.pathOf(DIRECTORY));
    const state = await StateDirectory.open(all.pathOf(name));
    const { identity } = await loadOrCreateIdentity(state, tools);
    return new KeptPeer(name, identity, state, tools);
  }

  /** Where its keys are. */
  get path(): string {
    return this.#state.path;
  }

  async certificateOf(networkId: string): Promise<Certificate | undefined> {
    return (await loadCertificates(this.#state)).find((each) => each.networkId === networkId);
  }

  /** As a supernode is told of them. */
  keys(certificate: Certificate | undefined): PeerKeys {
    return peerKeysOf(this.identity, certificate && encodeCertificate(certificate));
  }

  /** Keeps others from asking for the same device at once. */
  lock(): Promise<StateLock> {
    return this.#state.lock(this.#tools);
  }

  async session(): Promise<KeptSession | undefined> {
    return await readSession(this.#state);
  }

  async keepSession(session: KeptSession, lock: StateLock): Promise<void> {
    await lock.replace(SESSION_FILE, new TextEncoder().encode(JSON.stringify(session) + "\n"));
  }
}

/** What devices are called here, by their peer ids; empty where no device was ever named. */
export async function deviceNames(stateDir: string): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  const path = `${stateDir}/${DIRECTORY}`;
  try {
    await Deno.stat(path); // opening would make it
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return names;
    throw error;
  }
  const all = await StateDirectory.open(path);
  for (const name of await all.names()) {
    if (!deviceNameSchema.safeParse(name).success) continue;
    const kept = await readSession(await StateDirectory.open(all.pathOf(name)));
    if (kept) names.set(kept.peerId, name);
  }
  return names;
}

async function readSession(state: StateDirectory): Promise<KeptSession | undefined> {
  const bytes = await state.read(SESSION_FILE);
  if (!bytes) return undefined;
  try {
    return keptSessionSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    const path = state.pathOf(SESSION_FILE);
    throw new CulvertError("corrupt_file", `Cannot read ${path}: it must be as it was written; remove it to go on`, {
      cause,
    });
  }
}
