import { assert, assertEquals, assertRejects } from "@std/assert";
import type { RelayRecord } from "../../protocol/directory.ts";
import { randomOf } from "../../protocol/random.ts";
import { hostCrypto } from "../host_aead.ts";
import { BuildError } from "./build_circuit.ts";
import { CircuitBuilder, type CircuitBuilderOptions } from "./circuit_builder.ts";
import { CircuitsRig } from "./fixtures/circuits_rig.ts";

const { signal } = new AbortController();

function builderIn(rig: CircuitsRig, options: Partial<CircuitBuilderOptions> = {}) {
  const builder = new CircuitBuilder({
    ...rig.options(),
    tools: { crypto: hostCrypto(), random: randomOf(crypto) },
    routePatienceMs: 0,
    ...options,
  });
  const links: { close(): void }[] = [];
  return {
    /** Builds so many, one after another; they stand until the end. */
    async build(count: number): Promise<void> {
      for (let built = 0; built < count; built++) links.push(await builder.build(signal));
    },
    builder,
    async [Symbol.asyncDispose]() {
      for (const link of links) link.close();
      builder.close();
      await builder.closed();
    },
  };
}

/** A directory that tells something else than what is. */
function telling(rig: CircuitsRig, change: (record: RelayRecord, at: number) => RelayRecord) {
  return { ...rig.options().relays, list: () => rig.list().map(change) };
}

Deno.test("circuits have the same two entry relays, each dialled once", async () => {
  await using rig = await CircuitsRig.open(6);
  await using made = builderIn(rig);
  // So many that chance leaves out no relay: once in half a million runs.
  await made.build(60);
  assertEquals([rig.dialled.length <= 2, new Set(rig.dialled).size], [true, rig.dialled.length]);
  for (const { server } of rig.network.relays) assert(server.circuitCount >= 1, "every relay is used");
});

Deno.test("entry relays that have been kept long enough give way to others", async () => {
  await using rig = await CircuitsRig.open(6);
  await using made = builderIn(rig, { entryKeptMs: 0 });
  await made.build(40);
  assert(new Set(rig.dialled).size > 3);
});

Deno.test("a relay that has not the key it is told of is found out, and avoided from then on", async () => {
  await using rig = await CircuitsRig.open(4);
  const another = rig.list()[1]!;
  const relays = telling(
    rig,
    (record, at) => at === 0 ? { ...record, sealingKey: another.sealingKey, gateways: [] } : record,
  );
  await using made = builderIn(rig, { relays, hops: 3, maxRoutes: 1 });
  const refusals: string[] = [];
  for (let tries = 0; tries < 40; tries++) {
    await made.build(1).catch((error) => refusals.push(error.message));
  }
  assertEquals(refusals.length, 1);
  assert(/^Cannot build a circuit: relay [12] of 3 has refused$/.test(refusals[0]!), refusals[0]);
});

Deno.test("a relay that tells of a gateway it has not is the one to be blamed", async () => {
  await using rig = await CircuitsRig.open(3);
  const [gateway] = rig.list()[0]!.gateways!;
  const lost = rig.network.addRelay().identity.peerId;
  const relays = telling(rig, (record) => ({ ...record, gateways: record.relayId === lost ? [gateway!] : [] }));
  await using made = builderIn(rig, { relays, maxRoutes: 1 });
  const error = await assertRejects(() => made.build(1), BuildError, "the gateway is not known to the one before");
  assertEquals([error.hop, error.code], [2, "path_down"]);
});

Deno.test("a relay that nobody can reach is told by its number and not by its name", async () => {
  await using rig = await CircuitsRig.open(3);
  await rig.killRelay(0);
  const [dead] = rig.list();
  await using made = builderIn(rig, { hops: 3 });
  const messages: string[] = [];
  for (let tries = 0; tries < 3; tries++) await made.build(1).catch((error) => messages.push(error.message));
  assertEquals(messages.length, 3);
  for (const message of messages) {
    assert(/^Cannot build a circuit: relay [123] of 3 cannot be reached/.test(message), message);
    assert(!message.includes(dead!.relayId));
  }
});

Deno.test("a build goes round relays that are dead", async () => {
  await using rig = await CircuitsRig.open(6);
  await rig.killRelay(0);
  await rig.killRelay(1);
  await using made = builderIn(rig);
  await made.build(10);
});

Deno.test("building is given up when nobody wants it any more", async () => {
  await using rig = await CircuitsRig.open(2);
  await using made = builderIn(rig);
  const giveUp = new AbortController();
  const building = made.builder.build(giveUp.signal);
  giveUp.abort(new Error("not wanted"));
  await assertRejects(() => building, Error, "not wanted");
});
