import { assertEquals } from "@std/assert";
import type { RelayRecord, RelayRegistration } from "../protocol/directory.ts";
import { generateSecrets, Identity, verifyWireGuardBinding } from "../protocol/identity.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { keysOfRelay, RelayRegistrar } from "./relay_registration.ts";

class FakeBase {
  readonly told: RelayRegistration[] = [];
  isDown = false;

  registerRelay(registration: RelayRegistration): Promise<RelayRecord> {
    if (this.isDown) return Promise.reject(new Error("base is down"));
    this.told.push(registration);
    return Promise.resolve({ ...registration, registeredAtMs: 0, expiresAtMs: 60_000 });
  }
}

const identity = new Identity(generateSecrets(new SeededRandom(1)), primitives);

function registrarOf(base: FakeBase, clock: FakeClock, load: () => number): RelayRegistrar {
  return new RelayRegistrar({
    directory: base,
    clock,
    random: new SeededRandom(2),
    describe: () => ({
      ...keysOfRelay(identity),
      kind: "upstream",
      region: "local",
      url: "http://127.0.0.1:1",
      version: "0.1.0",
      load: load(),
    }),
  });
}

Deno.test("a relay is registered at once, and again before base forgets it, with what is then true", async () => {
  const [base, clock] = [new FakeBase(), new FakeClock()];
  let load = 0;
  await using registrar = registrarOf(base, clock, () => load);
  await clock.advanceAsync(0);
  assertEquals(base.told.map((each) => each.load), [0]);
  assertEquals(registrar.problem, undefined);
  load = 0.5;
  await clock.advanceAsync(20_000);
  assertEquals(base.told.map((each) => each.load), [0, 0.5]);
});

Deno.test("what matters to others is told soon, and not more often than twice a second", async () => {
  const [base, clock] = [new FakeBase(), new FakeClock()];
  await using registrar = registrarOf(base, clock, () => 1);
  await clock.advanceAsync(0);
  for (let turn = 0; turn < 100; turn++) {
    registrar.hurry();
    await clock.advanceAsync(10);
  }
  assertEquals(base.told.length, 3);
});

Deno.test("while base is away it is tried again, and the problem is known", async () => {
  const [base, clock] = [new FakeBase(), new FakeClock()];
  base.isDown = true;
  await using registrar = registrarOf(base, clock, () => 1);
  await clock.advanceAsync(5000);
  assertEquals(registrar.problem, "base is down");
  base.isDown = false;
  await clock.advanceAsync(20_000);
  assertEquals(base.told.length > 0, true);
  assertEquals(registrar.problem, undefined);
});

Deno.test("the sealing key that a relay registers is signed by its identity", () => {
  const { relayId, publicKey, sealingKey, sealingKeySignature } = keysOfRelay(identity);
  const [identityKey, wireguardKey, signature] = [publicKey, sealingKey, sealingKeySignature].map(decodeBase64);
  const binding = { peerId: relayId, publicKey: identityKey!, wireguardKey: wireguardKey!, signature: signature! };
  assertEquals(verifyWireGuardBinding(binding, primitives), true);
});
