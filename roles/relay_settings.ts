/**
 * What every role that stands in the directory as a relay is told and made of alike: upstream, central, downstream, relay.
 *
 *   settings ─▶ identity, membership of the network, TLS, a client of base ─▶ who else is there (RelayDirectory)
 *                                                                         └─▶ that we are here (`announce`)
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { DirectoryClient } from "../net/directory_client.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { RelayDirectory } from "../net/relay_directory.ts";
import { RelayRegistrar } from "../net/relay_registration.ts";
import type { RelayGateway, RelayKind } from "../protocol/directory.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { urlSchema } from "../protocol/fields.ts";
import type { Identity } from "../protocol/identity.ts";
import type { NoiseKeyPair } from "../protocol/noise_ik.ts";
import type { Primitives } from "../protocol/primitives.ts";
import { Membership, networkFlags } from "./closed_network.ts";
import { loadOrCreateIdentity } from "./identity_store.ts";
import { Caller, callerFlags } from "./mutual_tls.ts";
import { regionName } from "./peer/settings.ts";
import type { RoleContext } from "./role.ts";
import { StateDirectory } from "./state.ts";
import { readFittingTls, tlsFlags, type TlsPair } from "./tls_files.ts";

/** Of whoever asks base for relays. */
export const baseFlags = {
  base: z.array(urlSchema.meta({ placeholder: "url" })).min(1, "given at least once").max(8)
    .describe("A base, where relays are listed; several are tried in turn."),
  ...networkFlags,
  ...callerFlags,
};

/** Of whoever is listed there; `listen` is each role's own. */
export const relayFlags = {
  ...baseFlags,
  region: regionName().default("any").describe("Where this machine is, such as eu-west."),
  advertise: urlSchema.optional().describe("The URL under which others reach --listen.")
    .meta({ placeholder: "url", defaultText: "made from --listen" }),
  ...tlsFlags,
};

export type BaseSettings = z.output<z.ZodObject<typeof baseFlags>>;
export type RelaySettings = z.output<z.ZodObject<typeof relayFlags>>;

/** Whoever it is, once its place is found. */
export interface RelayParts {
  readonly identity: Identity;
  /** The identity's X25519 key, to which others seal. */
  readonly local: NoiseKeyPair;
  readonly primitives: Primitives;
  /** Of a closed network. */
  readonly membership: Membership | undefined;
  readonly caCerts: readonly string[] | undefined;
  readonly directory: DirectoryClient;
  /** Follows base until it is disposed of. */
  readonly relays: RelayDirectory;
}

export interface RelayPlace {
  /** As certificates name it: a relay's kind, or "gateway". */
  readonly role: RelayKind | "gateway";
  readonly region: string;
  /** Those looked for; all when left out. */
  readonly kinds?: readonly RelayKind[];
}

/** Gathers them and asks base once; disposing closes what they hold. */
export async function openRelayParts(
  { role, region, kinds }: RelayPlace,
  settings: BaseSettings,
  context: RoleContext,
): Promise<RelayParts & AsyncDisposable> {
  const { clock, random, signal, log } = context;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(context.stateDir);
  const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
  await using held = new AsyncDisposableStack();
  const { networkPublicKey } = settings;
  const place = { peerId: identity.peerId, role, region };
  const membership = networkPublicKey &&
    held.use(await Membership.join(networkPublicKey, { ...context, state, place, primitives }));
  const caller = held.use(await Caller.open(settings, { ...context, action: `start ${role}` }));
  const tools = { clock, random, log, primitives, networkPublicKey };
  const directory = held.use(
    new DirectoryClient({ ...tools, bases: basesOf(settings), signer: identity, fetch: caller?.fetch }),
  );
  const relays = held.use(new RelayDirectory({ ...tools, directory, ...(kinds && { kinds }) }));
  const stop = new AbortController();
  const following = relays.run(stop.signal);
  held.defer(async () => {
    stop.abort();
    await following;
  });
  await relays.refresh(signal);
  const kept = held.move();
  return {
    identity,
    local: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
    primitives,
    membership,
    caCerts: caller?.caCerts,
    directory,
    relays,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The TLS pair of `--cert-file` and `--key-file`, if there is one. */
export function readRelayTls(settings: RelaySettings, kind: RelayKind): Promise<TlsPair | undefined> {
  return readFittingTls(settings, `start ${kind}`);
}

/** The URL to tell others: `--advertise`, or what `--listen` came to. */
export function advertisedUrl({ advertise, certFile }: RelaySettings, listening: string): string {
  return advertise ?? `${certFile === undefined ? "http" : "https"}://${listening}/`;
}

export interface Announcement {
  readonly kind: RelayKind;
  readonly region: string;
  readonly url: string;
  /** From 0 to 1. */
  load(): number;
  gateways?(): readonly RelayGateway[];
}

/** Tells base of us until it is disposed of; readiness waits for base. */
export function announce(
  { kind, region, url, load, gateways }: Announcement,
  { identity, membership, directory }: RelayParts,
  context: RoleContext,
): { readonly registrar: RelayRegistrar } & AsyncDisposable {
  const { clock, random, log } = context;
  const stop = new AbortController();
  const registrar = new RelayRegistrar({
    directory,
    clock,
    random,
    log,
    registration: () => ({
      relayId: identity.peerId,
      kind,
      publicKey: encodeBase64(identity.publicKey),
      sealingKey: encodeBase64(identity.wireguardPublicKey),
      sealingKeySignature: encodeBase64(identity.wireguardBinding().signature),
      region,
      url,
      load: Math.min(1, Math.max(0, load())),
      version: deno.version,
      ...(membership && { certificate: membership.certificate() }),
      ...(gateways && { gateways: [...gateways()] }),
    }),
  });
  if (membership) membership.onRenewed = () => registrar.hurry();
  context.check("base", () => registrar.problem);
  const running = registrar.run(stop.signal);
  return {
    registrar,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

function basesOf({ base }: BaseSettings): URL[] {
  return base.map((url) => new URL(url.endsWith("/") ? url : `${url}/`));
}
