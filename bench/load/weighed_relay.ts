/**
 * A relay of circuits that says what it weighs: what its memory holds once everything is collected that nobody needs. What
 * the process takes from the machine says more about how busy it was before than about what it carries.
 *
 *   stdin   a line of JSON { relayId, url }: another relay it may dial          any other line: weigh
 *   stdout  { url, relayId, sealingKey }, then for each line { known } or { bytes, circuits }
 */

import v8 from "node:v8";
import vm from "node:vm";
import { RelayServer } from "../../net/circuit/relay.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { clockOf, delay } from "../../protocol/clock.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { encodeBase64 } from "../../protocol/encoding.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";

/** Beyond what a measurement needs. */
const MANY = 100_000;
const plenty = { perSecond: MANY, burst: MANY, slots: 8192 };
/** What ended a moment ago takes a turn or two to let go of everything. */
const COLLECTIONS = 3;

export async function serveWeighedRelay(
  lines: AsyncIterable<string>,
  print: (answer: Record<string, unknown>) => void,
): Promise<void> {
  const clock = clockOf(globalThis);
  const others = new Map<string, RelayRecord>();
  const primitives = hostPrimitives();
  const random = randomOf(globalThis.crypto);
  const identity = new Identity(generateSecrets(random), primitives);
  using crypto = await openSealCrypto();
  using server = new RelayServer({
    listen: { hostname: "127.0.0.1", port: 0 },
    identity,
    directory: { find: (_kind, relayId) => others.get(relayId), refresh: () => Promise.resolve() },
    tools: { crypto, random },
    ...{ primitives, clock, log: silentLog, metrics: noMetrics },
    limits: {
      ...{ maxCircuits: MANY, maxLinksPerAddress: MANY },
      ...{ clientCircuits: plenty, relayCircuits: plenty, addressRequests: plenty },
    },
  });
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as () => void;
  const { hostname, port } = server.address;
  const sealingKey = encodeBase64(identity.wireguardPublicKey);
  print({ url: `http://${hostname}:${port}`, relayId: identity.peerId, sealingKey });
  for await (const line of lines) {
    if (line.startsWith("{")) {
      const other = JSON.parse(line) as RelayRecord;
      others.set(other.relayId, other);
      print({ known: others.size });
      continue;
    }
    for (let count = 0; count < COLLECTIONS; count++) {
      collect();
      await delay(clock, 20);
    }
    const { heapUsed, external } = Deno.memoryUsage();
    print({ bytes: heapUsed + external, circuits: server.circuitCount });
  }
}
