/**
 * What a supernode is made of before it serves anybody: identity, network and certificate, TLS, the store, and the way to
 * base.
 */

import { DirectoryClient } from "../../net/directory_client.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { Fetch } from "../../net/signed_http.ts";
import { encodeCertificate, networkIdOf } from "../../protocol/certificate.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../../protocol/control/auth.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { loadCertificates, loadOrCreateIdentity } from "../identity_store.ts";
import { openRoleKv } from "../kv_store.ts";
import { readPem } from "../pem_file.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { readFittingTls, type TlsPair } from "../tls_files.ts";
import { openOwnedStore, type OwnedStore } from "./owned_store.ts";
import { ACTION, type SupernodeSettings } from "./settings.ts";

export interface SupernodeParts extends OwnedStore {
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly network: ClosedNetwork | undefined;
  /** This supernode's own, in a closed network. */
  readonly certificate: string | undefined;
  readonly tls: TlsPair | undefined;
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
  const { network, certificate } = await openNetwork(config, state, primitives);
  const tls = await readFittingTls(config, ACTION);
  const caCerts = config.caFile === undefined
    ? undefined
    : [await readPem(config.caFile, { flag: "--ca-file", action: ACTION })];
  await using held = new AsyncDisposableStack();
  const kv = held.use(await openRoleKv(config, { role: "supernode", stateDir }));
  const client = caCerts && held.use(Deno.createHttpClient({ caCerts }));
  const byClient = client && ((request: Request) => fetch(request, { client }));
  const tools = { identity, primitives, network, fetch: byClient, clock, random, log };
  const directory = held.use(openDirectory(config, tools));
  const store = held.use(await openOwnedStore(kv, identity.peerId, context));
  const kept = held.move();
  return {
    identity,
    primitives,
    network,
    certificate,
    tls,
    caCerts,
    fetch: byClient,
    ...store,
    directory,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The closed network this supernode is of, and its certificate in it; nothing in an open one. */
async function openNetwork(
  { networkKey, region }: SupernodeSettings,
  state: StateDirectory,
  primitives: Primitives,
): Promise<{ readonly network: ClosedNetwork | undefined; readonly certificate: string | undefined }> {
  if (networkKey === undefined) return { network: undefined, certificate: undefined };
  const networkPublicKey = decodeBase64(networkKey)!;
  const networkId = networkIdOf(networkPublicKey, primitives);
  const certificate = (await loadCertificates(state)).find((each) => each.networkId === networkId);
  if (certificate) return { network: { networkPublicKey }, certificate: encodeCertificate(certificate) };
  throw new CulvertError(
    "no_certificate",
    `Cannot ${ACTION}: ${state.path} must hold a certificate of the network ${networkId} for ${SUPERNODE_ROLE} in ` +
      `${region}; see culvert enroll`,
  );
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
