/**
 * What a supernode is made of before it serves anybody: identity, network and certificate, TLS, the store, and the way to
 * base.
 */

import { DirectoryClient } from "../../net/directory_client.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { Fetch } from "../../net/signed_http.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../../protocol/control/auth.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { Membership } from "../closed_network.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import { openRoleKv } from "../kv_store.ts";
import { Caller, readClientCa } from "../mutual_tls.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { readFittingTls, type TlsPair } from "../tls_files.ts";
import { openOwnedStore, type OwnedStore } from "./owned_store.ts";
import { ACTION, type SupernodeSettings } from "./settings.ts";

export interface SupernodeParts extends OwnedStore {
  readonly identity: Identity;
  readonly primitives: Primitives;
  /** The closed network, if it is one. */
  readonly network: ClosedNetwork | undefined;
  readonly membership: Membership | undefined;
  readonly tls: TlsPair | undefined;
  /** Who signs the TLS certificates of those who come to the port for other supernodes. */
  readonly clientCa: string | undefined;
  readonly caCerts: readonly string[] | undefined;
  /** Which trusts those; undefined where the host's does. */
  readonly fetch: Fetch | undefined;
  readonly directory: DirectoryClient | undefined;
}

/** Gathers them; disposing closes what they hold. */
export async function openSupernodeParts(
  config: SupernodeSettings,
  context: RoleContext,
): Promise<SupernodeParts & AsyncDisposable> {
  const { clock, random, log, signal, stateDir } = context;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  const tls = await readFittingTls(config, ACTION);
  await using held = new AsyncDisposableStack();
  const { networkPublicKey, region } = config;
  const place = { peerId: identity.peerId, role: SUPERNODE_ROLE, region };
  const membership = networkPublicKey &&
    held.use(await Membership.join(networkPublicKey, { ...context, state, place, primitives }));
  const network = membership?.network;
  const kv = held.use(await openRoleKv(config, { role: "supernode", stateDir }));
  const clientCa = await readClientCa(config, ACTION);
  const caller = held.use(await Caller.open(config, { ...context, action: ACTION }));
  const tools = { identity, primitives, network, fetch: caller?.fetch, clock, random, log };
  const directory = held.use(openDirectory(config, tools));
  const store = held.use(await openOwnedStore(kv, identity.peerId, context));
  const kept = held.move();
  return {
    identity,
    primitives,
    network,
    membership,
    tls,
    clientCa,
    caCerts: caller?.caCerts,
    fetch: caller?.fetch,
    ...store,
    directory,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

type DirectoryTools =
  & Pick<SupernodeParts, "identity" | "primitives" | "network" | "fetch">
  & Pick<RoleContext, "clock" | "random" | "log">;

function openDirectory({ base }: SupernodeSettings, tools: DirectoryTools): DirectoryClient | undefined {
  if (base.length === 0) return undefined;
  const { identity, primitives, network, fetch, clock, random, log } = tools;
  return new DirectoryClient({
    bases: base.map((url) => new URL(url.endsWith("/") ? url : `${url}/`)),
    signer: identity,
    clock,
    random,
    log,
    primitives,
    networkPublicKey: network?.networkPublicKey,
    fetch,
  });
}
