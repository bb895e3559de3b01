/**
 * What relays of every kind (upstream, central, downstream, relay) have to be told alike, and what they are made of
 * before they serve anybody: identity, network and certificate, TLS, and what base knows of the others.
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { DirectoryClient } from "../net/directory_client.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { RelayDirectory } from "../net/relay_directory.ts";
import { relayPlaces } from "../net/relay_places.ts";
import { CachingResolver } from "../net/resolve.ts";
import type { Locate } from "../net/websocket_dial.ts";
import { keysOfRelay, RelayRegistrar } from "../net/relay_registration.ts";
import { openSealCrypto } from "../net/seal_crypto.ts";
import type { Fetch } from "../net/signed_http.ts";
import type { RelayKind, RelayRegistration } from "../protocol/directory.ts";
import { nameSchema, urlSchema } from "../protocol/fields.ts";
import type { Identity } from "../protocol/identity.ts";
import type { NoiseKeyPair } from "../protocol/noise_ik.ts";
import type { Primitives } from "../protocol/primitives.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import type { WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import { Membership, networkFlags } from "./closed_network.ts";
import { loadOrCreateIdentity } from "./identity_store.ts";
import { isLoopback } from "./listening.ts";
import { Caller, callerFlags } from "./mutual_tls.ts";
import type { RoleContext } from "./role.ts";
import { StateDirectory } from "./state.ts";
import { readFittingTls, tlsFlags, type TlsPair } from "./tls_files.ts";

/** What whoever asks base for relays has to be told; a gateway is told no more, since it listens nowhere. */
export const baseFlags = {
  base: z.array(urlSchema.meta({ placeholder: "url" })).min(1, "given at least once").max(8)
    .describe("A base, where relays are listed; several are tried in turn."),
  region: nameSchema.default("local").describe("Where this is, such as eu-west.").meta({ placeholder: "name" }),
  ...networkFlags,
  ...callerFlags,
};

/** What whoever is listed there has to be told beside where it listens. */
export const relayFlags = {
  ...baseFlags,
  advertise: urlSchema.optional().describe("The URL under which others reach --listen.")
    .meta({ placeholder: "url", defaultText: "made from --listen" }),
  ...tlsFlags,
};

export type BaseSettings = z.output<z.ZodObject<typeof baseFlags>>;
export type RelaySettings = z.output<z.ZodObject<typeof relayFlags>> & { readonly listen: Target };

/** What those who ask base for relays are made of. */
export interface MemberParts {
  readonly identity: Identity;
  /** The identity's X25519 key, to which others seal. */
  readonly local: NoiseKeyPair;
  readonly primitives: Primitives;
  readonly crypto: WireGuardCrypto;
  readonly membership: Membership | undefined;
  readonly networkPublicKey: Uint8Array | undefined;
  /** To be trusted beside the usual ones. */
  readonly caCerts: readonly string[] | undefined;
  /** Makes requests with the certificates of the settings; the host's own will do when there are none. */
  readonly fetch: Fetch | undefined;
  readonly directory: DirectoryClient;
  /** What base knows of others; kept new while this is open. */
  readonly relays: RelayDirectory;
  /** Finds the hosts of relays, where they may be dialled from here. */
  readonly locate: Locate | undefined;
}

export interface RelayParts extends MemberParts {
  readonly tls: TlsPair | undefined;
  /** The URL under which others reach what listens there. */
  urlOf(listen: string): string;
  /** Keeps this relay listed until disposed. */
  register(status: RelayStatus): RelayRegistrar;
}

/** What a registration says beside whose it is. `current` is asked each time. */
export interface RelayStatus {
  readonly url: string;
  current(): Pick<RelayRegistration, "load" | "bandwidthMbps" | "gateways">;
}

export interface MemberPartsOptions {
  /** As what it is certified in a closed network. */
  readonly role: RelayKind | "gateway";
  /** What cannot be done when a setting is wrong: "start upstream". */
  readonly action: string;
  /** Of whom base is asked; all when left out. */
  readonly others?: readonly RelayKind[];
}

export interface RelayPartsOptions extends Omit<MemberPartsOptions, "role"> {
  readonly kind: RelayKind;
}

/** Gathers them; disposing closes what they hold. */
export async function openMemberParts(
  settings: BaseSettings,
  { role, action, others }: MemberPartsOptions,
  context: RoleContext,
): Promise<MemberParts & AsyncDisposable> {
  const { clock, random, log, signal, stateDir } = context;
  const { networkPublicKey, region } = settings;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  await using held = new AsyncDisposableStack();
  const place = { peerId: identity.peerId, role, region };
  const membership = networkPublicKey &&
    held.use(await Membership.join(networkPublicKey, { ...context, state, place, primitives }));
  const crypto = held.use(await openSealCrypto({ explain: (reason) => log.debug("No libcrypto", { reason }) }));
  const caller = held.use(await Caller.open(settings, { ...context, action }));
  const tools = { clock, random, log, primitives, networkPublicKey };
  const directory = held.use(
    new DirectoryClient({ ...tools, bases: basesOf(settings), signer: identity, fetch: caller?.fetch }),
  );
  const relays = new RelayDirectory({ ...tools, directory, ...(others && { kinds: others }) });
  const looking = relays.run(signal);
  held.defer(async () => {
    relays[Symbol.dispose]();
    await looking;
  });
  const kept = held.move();
  return {
    identity,
    local: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
    primitives,
    crypto,
    membership,
    networkPublicKey,
    caCerts: caller?.caCerts,
    fetch: caller?.fetch,
    directory,
    relays,
    locate: locateNear(settings.base, settings, context),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The same, and what a relay needs to listen and to be listed. */
export async function openRelayParts(
  settings: RelaySettings,
  { kind, action, others }: RelayPartsOptions,
  context: RoleContext,
): Promise<RelayParts & AsyncDisposable> {
  const { clock, random, log } = context;
  const tls = await readFittingTls(settings, action);
  warnOfPlainText(settings, tls, log);
  const parts = await openMemberParts(settings, { role: kind, action, ...(others && { others }) }, context);
  const { identity, membership, directory } = parts;
  const urlOf = (listen: string) => settings.advertise ?? `${tls ? "https" : "http"}://${listen}`;
  const ownUrl = urlOf(formatTarget(settings.listen));
  return {
    ...parts,
    tls,
    urlOf,
    // A central may be on a private network together with base, with nobody but its upstreams known to the world.
    locate: locateNear([ownUrl, ...(kind === "relay" ? [] : settings.base)], settings, context),
    register({ url, current }) {
      const describe = (): RelayRegistration => ({
        ...keysOfRelay(identity),
        kind,
        region: settings.region,
        url,
        version: deno.version,
        ...(membership && { certificate: membership.certificate() }),
        ...current(),
      });
      const registrar = new RelayRegistrar({ directory, describe, clock, random, log });
      if (membership) membership.onRenewed = () => registrar.hurry();
      return registrar;
    },
  };
}

/** In a closed network every relay is certified, wherever it is. */
function locateNear(
  near: readonly string[],
  { networkPublicKey }: BaseSettings,
  { clock }: Pick<RoleContext, "clock">,
): Locate | undefined {
  return networkPublicKey ? undefined : relayPlaces({ near, resolver: new CachingResolver({ clock }) });
}

function basesOf({ base }: BaseSettings): URL[] {
  return base.map((url) => new URL(url.endsWith("/") ? url : `${url}/`));
}

function warnOfPlainText(
  { listen }: Pick<RelaySettings, "listen">,
  tls: TlsPair | undefined,
  log: RoleContext["log"],
): void {
  if (tls || isLoopback(listen)) return;
  log.warn("What listens here is not encrypted: put TLS in front of it, or give --cert-file and --key-file", {
    listen: formatTarget(listen),
  });
}
