/**
 * A path in fragments by its URL (`fragments_url.ts`): asks the directory for relays, and opens sessions with them.
 *
 * In a closed network it takes an identity with a certificate, which centrals ask for, and the network's key, by which
 * relays are checked. In an open one nobody learns who we are: each session has keys of its own.
 */

import type { Clock } from "../../protocol/clock.ts";
import { peerKeysOf } from "../../protocol/control/peer_keys.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { openReedSolomon } from "../../protocol/fragment/reed_solomon.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import { BufferPool } from "../buffer_pool.ts";
import { DirectoryClient } from "../directory_client.ts";
import { hostPrimitives } from "../host_primitives.ts";
import { RelayDirectory } from "../relay_directory.ts";
import type { Fetch } from "../signed_http.ts";
import { FragmentPath } from "./client.ts";
import { parseFragmentsUrl } from "./fragments_url.ts";
import { BlockedSockets } from "./legs.ts";
import type { Member } from "./session_opener.ts";
import { trustingFetch } from "../runtime.ts";

/** What a Path in fragments is made of. */
export interface OpenFragmentsOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where chance comes from. */
  readonly random: Random;
  /** Where it writes what happens. */
  readonly log: Log;
  /** Where it counts what happens. */
  readonly metrics: Metrics;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[];
  /** Who we are, in a closed network. */
  readonly identity?: Identity;
  /** The identity's certificate as it is now. */
  readonly certificate?: () => string | undefined;
  /** The key of a closed network. */
  readonly networkPublicKey?: Uint8Array;
}

/** What a session asks for at once is sent in messages of this size. */
const POOLED_BYTES = 512 * 1024;

/** Opens the path; it connects in the background, so that what is down now may come up later. */
export function openFragments(url: string, options: OpenFragmentsOptions): FragmentPath {
  const address = parseFragmentsUrl(url);
  const { clock, random, log, metrics, networkPublicKey } = options;
  const member = memberOf(options);
  const primitives = hostPrimitives();
  using opened = new DisposableStack();
  const fetch = opened.use(ownFetch(options.caCerts));
  const directory = opened.use(
    new DirectoryClient({
      bases: [address.base],
      // Relays are listed to anybody, so it signs nothing.
      signer: options.identity ?? new Identity(generateSecrets(random), primitives),
      ...{ clock, random, primitives, log, networkPublicKey, fetch: fetch.fetch },
    }),
  );
  const kinds = ["upstream", "central", "downstream"] as const;
  const relays = opened.use(
    new RelayDirectory({ directory, kinds, networkPublicKey, primitives, clock, random, log }),
  );
  const stop = new AbortController();
  const running = relays.run(stop.signal);
  const owned = opened.move();
  return new FragmentPath({
    tools: {
      ...{ clock, random, primitives },
      pool: new BufferPool({ bufferBytes: POOLED_BYTES }),
      fetch: fetch.fetch,
      blocked: new BlockedSockets(clock, address.isPostOnly),
      caCerts: options.caCerts,
      token: address.token,
    },
    ...{ primitives, relays, log, metrics },
    reedSolomon: openReedSolomon(),
    wanted: { up: address.up, down: address.down },
    coding: { dataShards: address.dataShards, totalShards: address.totalShards },
    sessions: address.sessions,
    centralId: address.centralId,
    member,
    owned: {
      async [Symbol.asyncDispose]() {
        stop.abort();
        owned.dispose();
        await running;
      },
    },
  });
}

/** Who we are to a central of a closed network. */
function memberOf({ identity, certificate, networkPublicKey }: OpenFragmentsOptions): Member | undefined {
  if (!networkPublicKey) return undefined;
  if (!identity) {
    throw new CulvertError(
      "bad_option",
      "Cannot open fragments: a closed network must know who we are, got no identity",
    );
  }
  return {
    local: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
    keys: () => peerKeysOf(identity, certificate?.()),
  };
}

/** The host's `fetch`, with certificates of our own where there are some. */
function ownFetch(caCerts: readonly string[] | undefined): { readonly fetch: Fetch } & Disposable {
  if (!caCerts || caCerts.length === 0) return { fetch: (request) => fetch(request), [Symbol.dispose]() {} };
  return trustingFetch(caCerts);
}
