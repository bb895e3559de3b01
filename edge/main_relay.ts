/**
 * What `main_upstream.ts` and `main_downstream.ts` have in common: what a relay needs of `net/`, which apps themselves do not
 * import, and what an operator sets in the environment, beside what `main_serve.ts` lists:
 *
 *   CULVERT_BASE                the bases, with commas between
 *   CULVERT_ADVERTISE           the URL under which others reach this
 *   CULVERT_IDENTITY            the text of an identity.json, as `culvert keys` makes one in its state directory
 *   CULVERT_REGION              where this is; "local" without
 *   CULVERT_TOKEN               what clients must know; nothing without
 *   CULVERT_NETWORK_PUBLIC_KEY  the public key of a closed network, in base64; open without
 *   CULVERT_CERTIFICATE         this relay's certificate in it
 */

import { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import { BufferPool } from "../net/buffer_pool.ts";
import { DirectoryClient } from "../net/directory_client.ts";
import { RelayHops } from "../net/fragments/relay_hops.ts";
import { hostCrypto } from "../net/host_aead.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { RelayDirectory } from "../net/relay_directory.ts";
import { relayPlaces } from "../net/relay_places.ts";
import { keysOfRelay, RelayRegistrar } from "../net/relay_registration.ts";
import { CachingResolver } from "../net/resolve.ts";
import { type Clock, clockOf } from "../protocol/clock.ts";
import type { RelayKind } from "../protocol/directory.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { certificateSchema, keySchema, nameSchema, urlSchema } from "../protocol/fields.ts";
import { Identity } from "../protocol/identity.ts";
import type { Log } from "../protocol/log.ts";
import type { Primitives } from "../protocol/primitives.ts";
import { type Random, randomOf } from "../protocol/random.ts";
import { consoleLog } from "./console_log.ts";
import { env as variable } from "./main_serve.ts";
import type { RelayAppDeps } from "./relay_app.ts";
import { webSocketUpgrade } from "./web_socket_upgrade.ts";

const identityText = z.object({ identityKey: keySchema, wireguardKey: keySchema });

const environment = z.object({
  CULVERT_BASE: z.string().transform((text) => text.split(",").map((each) => each.trim())).pipe(
    urlSchema.array().min(1),
  ),
  CULVERT_ADVERTISE: urlSchema,
  CULVERT_IDENTITY: z.string(),
  CULVERT_REGION: nameSchema.default("local"),
  CULVERT_TOKEN: z.string().optional(),
  CULVERT_NETWORK_PUBLIC_KEY: keySchema.optional(),
  CULVERT_CERTIFICATE: certificateSchema.optional(),
});
type Environment = z.output<typeof environment>;

export interface RelayMain {
  readonly identity: Identity;
  readonly relays: RelayDirectory;
  readonly hops: RelayHops;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly primitives: Primitives;
  /** For the app. */
  readonly appDeps: RelayAppDeps;
  /** Keeps this relay listed as long as the process lives. */
  register(load: () => number): void;
}

/** Gathers it; throws `invalid_option` for what is missing or wrong. */
export async function openRelayMain(kind: RelayKind): Promise<RelayMain> {
  const env = environmentOf(kind);
  const [clock, random, primitives, log] = [
    clockOf(globalThis),
    randomOf(crypto),
    hostPrimitives(),
    consoleLog(console),
  ];
  const identity = identityOf(env, kind, primitives);
  const networkPublicKey = env.CULVERT_NETWORK_PUBLIC_KEY && decodeBase64(env.CULVERT_NETWORK_PUBLIC_KEY);
  const tools = { clock, random, log, primitives, networkPublicKey: networkPublicKey || undefined };
  const bases = env.CULVERT_BASE.map((url) => new URL(url.endsWith("/") ? url : `${url}/`));
  const directory = new DirectoryClient({ ...tools, bases, signer: identity });
  const relays = new RelayDirectory({ ...tools, directory, kinds: ["central"] });
  void relays.run(new AbortController().signal); // as long as the process lives
  await relays.refresh();
  const locate = networkPublicKey
    ? undefined // its owner vouches for every relay
    : relayPlaces({ near: [env.CULVERT_ADVERTISE], resolver: new CachingResolver({ clock }) });
  const hops = new RelayHops({ identity, relays, crypto: hostCrypto(), pool: new BufferPool(), clock, random, locate });
  const upgrade = webSocketUpgrade(clock);
  return {
    ...{ identity, relays, hops, clock, random, log, primitives },
    appDeps: { version: deno.version, primitives, token: env.CULVERT_TOKEN, log, upgrade },
    register(load) {
      const describe = () => ({
        ...keysOfRelay(identity),
        kind,
        region: env.CULVERT_REGION,
        url: env.CULVERT_ADVERTISE,
        version: deno.version,
        load: load(),
        ...(env.CULVERT_CERTIFICATE !== undefined && { certificate: env.CULVERT_CERTIFICATE }),
      });
      new RelayRegistrar({ directory, describe, clock, random, log });
    },
  };
}

function environmentOf(kind: RelayKind): Environment {
  const names = Object.keys(environment.shape);
  const set = Object.fromEntries(names.map((name) => [name, variable(name)]));
  const parsed = environment.safeParse(set);
  if (parsed.success) return parsed.data;
  const wrong = [...new Set(parsed.error.issues.map(({ path }) => String(path[0])))].join(", ");
  throw invalid(kind, `${wrong} must be set as edge/main_relay.ts says`);
}

function identityOf({ CULVERT_IDENTITY }: Environment, kind: RelayKind, primitives: Primitives): Identity {
  const parsed = identityText.safeParse(jsonOf(CULVERT_IDENTITY));
  if (!parsed.success) throw invalid(kind, "CULVERT_IDENTITY must be the text of an identity.json");
  const { identityKey, wireguardKey } = parsed.data;
  const secrets = { identityKey: decodeBase64(identityKey)!, wireguardKey: decodeBase64(wireguardKey)! };
  return new Identity(secrets, primitives);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a parser's own message would quote the key
  }
}

function invalid(kind: RelayKind, rule: string): CulvertError {
  return new CulvertError("invalid_option", `Cannot serve ${kind}: ${rule}`);
}
