import { assertEquals } from "@std/assert";
import type { RelayRecord } from "../protocol/directory.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { generateSecrets, Identity } from "../protocol/identity.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { RelayDirectory, type RelayDirectoryOptions } from "./relay_directory.ts";
import { keysOfRelay } from "./relay_registration.ts";

const random = new SeededRandom(1);
const [north, south, gateway] = [1, 2, 3].map(() => new Identity(generateSecrets(random), primitives)) as [
  Identity,
  Identity,
  Identity,
];

function recordOf(identity: Identity, changes: Partial<RelayRecord> = {}): RelayRecord {
  return {
    ...keysOfRelay(identity),
    kind: "relay",
    region: "local",
    url: "http://127.0.0.1:1",
    version: "0.1.0",
    load: 0,
    registeredAtMs: 0,
    expiresAtMs: 60_000,
    ...changes,
  };
}

function gatewayOf(identity: Identity) {
  const { relayId: gatewayId, publicKey, sealingKey, sealingKeySignature } = keysOfRelay(identity);
  return { gatewayId, publicKey, sealingKey, sealingKeySignature };
}

class Rig {
  readonly clock = new FakeClock();
  told: readonly RelayRecord[] = [];
  asked = 0;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();
  readonly relays: RelayDirectory;

  constructor(options: Partial<RelayDirectoryOptions> = {}) {
    this.relays = new RelayDirectory({
      directory: { listRelays: (_query, more) => this.#answer(more?.signal) },
      kinds: ["relay"],
      ...{ primitives, random, clock: this.clock },
      ...options,
    });
  }

  get ids(): string[] {
    return this.relays.list("relay").map(({ relayId }) => relayId);
  }

  async #answer(signal?: AbortSignal) {
    this.asked++;
    await this.gate;
    signal?.throwIfAborted();
    return { relays: [...this.told] };
  }
}

Deno.test("a relay or gateway whose sealing key its identity has not signed is left out", async () => {
  const rig = new Rig();
  const { sealingKey, sealingKeySignature } = keysOfRelay(south);
  rig.told = [
    recordOf(north, {
      gateways: [gatewayOf(gateway), { ...gatewayOf(south), sealingKey: keysOfRelay(north).sealingKey }],
    }),
    recordOf(south, { relayId: gateway.peerId }),
    recordOf(gateway, { sealingKey, sealingKeySignature }),
    recordOf(gateway, { sealingKey: encodeBase64(random.fill(new Uint8Array(32))) }),
  ];
  await rig.relays.refresh();
  assertEquals(rig.ids, [north.peerId]);
  assertEquals(rig.relays.find("relay", north.peerId)?.gateways?.map(({ gatewayId }) => gatewayId), [gateway.peerId]);
  assertEquals(rig.relays.bySealingKey("relay", north.wireguardPublicKey)?.relayId, north.peerId);
});

Deno.test("in a closed network who has no certificate is left out", async () => {
  const rig = new Rig({ networkPublicKey: north.publicKey });
  rig.told = [recordOf(north), recordOf(south, { certificate: "nonsense" })];
  await rig.relays.refresh();
  assertEquals(rig.ids, []);
});

Deno.test("who asks and gives up is let go, and others who wait for the same answer get it", async () => {
  const rig = new Rig();
  const gate = Promise.withResolvers<void>();
  rig.gate = gate.promise;
  rig.told = [recordOf(north)];
  const impatient = new AbortController();
  const first = rig.relays.refresh(impatient.signal);
  const second = rig.relays.refresh();
  impatient.abort();
  await first;
  assertEquals(rig.ids, []);
  gate.resolve();
  await second;
  assertEquals([rig.ids, rig.asked, rig.relays.problem], [[north.peerId], 1, undefined]);
});

Deno.test("base is not asked oftener than twice a second, and what it has said is kept while it is away", async () => {
  const rig = new Rig({ keptMs: 10_000 });
  rig.told = [recordOf(north)];
  await rig.relays.refresh();
  await rig.relays.refresh();
  assertEquals(rig.asked, 1);
  rig.gate = Promise.reject(new Error("base is away"));
  rig.gate.catch(() => {});
  rig.clock.advance(9_000);
  await rig.relays.refresh();
  assertEquals([rig.asked, rig.ids, rig.relays.problem], [2, [north.peerId], "base is away"]);
  rig.clock.advance(1_000);
  assertEquals(rig.ids, []);
});
