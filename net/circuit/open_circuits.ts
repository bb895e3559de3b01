/**
 * A path over circuits by its URL (`circuit_url.ts`): asks the directory for relays and keeps circuits through them.
 *
 * Without an identity of our own (open networks) one is drawn for this path: an entry relay has to know a dialler by some
 * name, to hold it to its share, and should not know it again the next time.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { BufferPool } from "../buffer_pool.ts";
import { DirectoryClient } from "../directory_client.ts";
import { hostPrimitives } from "../host_primitives.ts";
import { RelayDirectory } from "../relay_directory.ts";
import { relayPlaces } from "../relay_places.ts";
import { CachingResolver } from "../resolve.ts";
import type { OpenOptions } from "../open.ts";
import { parseCircuitUrl } from "./circuit_url.ts";
import { CircuitPath } from "./path.ts";
import { trustingFetch } from "../runtime.ts";

/** What Paths over circuits are made of. */
export type CircuitOpenOptions = Omit<OpenOptions, "policy">;

/** Opens the path; it builds circuits in the background, so that a directory which is down now may come up later. */
export function openCircuits(url: string, options: CircuitOpenOptions): CircuitPath {
  const { base, ...wish } = parseCircuitUrl(url);
  const { clock, random, log, metrics, tracing, caCerts, networkPublicKey, certificate } = options;
  if (networkPublicKey && !(options.identity && certificate)) {
    throw new CulvertError("bad_option", "Cannot use circuits: a closed network needs an identity and its certificate");
  }
  const primitives = hostPrimitives();
  const identity = options.identity ?? new Identity(generateSecrets(random), primitives);
  const trusting = caCerts && trustingFetch(caCerts);
  const directory = new DirectoryClient({
    bases: [base],
    signer: identity,
    ...{ clock, random, primitives, log, networkPublicKey },
    ...(trusting && { fetch: trusting.fetch }),
  });
  const relays = new RelayDirectory({
    ...{ directory, networkPublicKey, primitives, clock, random, log },
    kinds: ["relay"],
  });
  const stop = new AbortController();
  const running = relays.run(stop.signal);
  return new CircuitPath({
    ...{ ...wish, relays, clock, log, metrics, tracing },
    dialling: {
      ...{ ownId: identity.peerId, signer: identity, clock, random, primitives, caCerts },
      ...(certificate && { certificate }),
      // In a closed network every relay is certified, wherever it is.
      ...(!networkPublicKey &&
        { locate: relayPlaces({ near: [base], resolver: new CachingResolver({ clock }) }) }),
      pool: new BufferPool({ bufferBytes: 256 * 1024 }),
    },
    owned: {
      async [Symbol.asyncDispose]() {
        stop.abort();
        relays[Symbol.dispose]();
        await running;
        directory[Symbol.dispose]();
        trusting?.[Symbol.dispose]();
      },
    },
  });
}
