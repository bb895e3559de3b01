import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { newNodeToken } from "../../protocol/sharing/node_auth.ts";
import { SeededRandom, withSeed } from "../../testing/seeded_random.ts";
import { admission, identityOf, NodeRig } from "./fixtures/node_rig.ts";
import { RawNode } from "./fixtures/raw_node.ts";
import type { Admission } from "./node_tunnel.ts";

const identity = identityOf(100);
const [runA, runB] = [1, 2].map((seed) => newNodeToken(new SeededRandom(seed))) as [string, string];

/** A node's connection that has got its challenge. */
async function arrive(rig: NodeRig): Promise<RawNode> {
  const node = new RawNode(rig.socket(), identity);
  await rig.clock.advanceAsync(1);
  return node;
}

async function enter(rig: NodeRig, runId: string, index = 0): Promise<RawNode> {
  const node = await arrive(rig);
  node.hello({ runId, tunnel: { index, count: 2 } });
  await rig.clock.advanceAsync(1);
  return node;
}

async function leave(rig: NodeRig, ...nodes: RawNode[]): Promise<void> {
  for (const node of nodes) node.close();
  await rig.end();
  assertEquals(rig.tunnels.size, 0);
  assertEquals(rig.clock.pendingTimers, 0);
}

Deno.test("a tunnel that comes again takes the place of its older self, and the node stays", async () => {
  const rig = new NodeRig();
  const first = await enter(rig, runA);
  const live = rig.tunnels.get(identity.peerId)!;
  const second = await enter(rig, runA);
  assertEquals(rig.tunnels.get(identity.peerId), live);
  assertEquals([live.tunnels, live.gone.aborted, first.refused?.code], [1, false, "replaced"]);
  assertEquals(second.welcome?.sessionId, first.welcome?.sessionId);
  // The older one's socket ends only now: nothing of the newer one goes with it.
  first.close();
  await rig.clock.advanceAsync(5000);
  assertEquals([rig.tunnels.size, live.tunnels, live.isOpen], [1, 1, true]);
  await leave(rig, second);
});

Deno.test("a node that was started anew is another session, and the end of the old one does not touch it", async () => {
  const rig = new NodeRig();
  const old = [await enter(rig, runA, 0), await enter(rig, runA, 1)];
  const before = rig.tunnels.get(identity.peerId)!;
  assertEquals(before.tunnels, 2);
  const fresh = await enter(rig, runB);
  const after = rig.tunnels.get(identity.peerId)!;
  assert(before !== after && before.gone.aborted && !after.gone.aborted);
  assertEquals(old.map((tunnel) => tunnel.refused?.code), ["replaced", "replaced"]);
  assert(before.session.sessionId !== after.session.sessionId);
  for (const tunnel of old) tunnel.close();
  await rig.clock.advanceAsync(5000);
  assertEquals(rig.tunnels.byAddress(after.virtualAddress), after);
  assertEquals([after.tunnels, rig.gone.length], [1, 1]);
  await leave(rig, fresh);
});

Deno.test("of two hellos whose admissions cross, the newer one counts", async () => {
  const rig = new NodeRig();
  const waiting: PromiseWithResolvers<Admission>[] = [];
  rig.admit = () => {
    const question = Promise.withResolvers<Admission>();
    waiting.push(question);
    return question.promise;
  };
  for (const [older, newer] of [[runA, runA], [runA, runB]] as const) {
    const first = await enter(rig, older);
    const second = await enter(rig, newer);
    waiting[1]!.resolve(admission);
    await rig.clock.advanceAsync(1);
    assert(second.welcome);
    waiting[0]!.resolve(admission);
    await rig.clock.advanceAsync(1);
    assertEquals(first.refused?.code, "replaced");
    assertEquals(rig.tunnels.get(identity.peerId)?.tunnels, 1);
    second.close();
    first.close();
    await rig.clock.advanceAsync(5000);
    assertEquals(rig.tunnels.size, 0);
    waiting.length = 0;
  }
  await leave(rig);
});

Deno.test("a node that is gone before it is let in leaves nothing behind, and is not asked about any longer", async () => {
  const rig = new NodeRig();
  let asked: AbortSignal | undefined;
  const question = Promise.withResolvers<Admission>();
  const tunnels = new NodeRig({
    admit: (_hello, { signal }) => {
      asked = signal;
      return question.promise;
    },
  });
  const node = await enter(tunnels, runA);
  node.close();
  await tunnels.clock.advanceAsync(1);
  assert(asked!.aborted);
  question.resolve(admission);
  await tunnels.clock.advanceAsync(1);
  assertEquals(tunnels.tunnels.size, 0);
  await leave(tunnels);
  await rig.end();
});

Deno.test("an admission that cannot be had, or takes too long, ends in a wait", async () => {
  const rig = new NodeRig();
  rig.admit = () => Promise.reject(new Error("the store is away"));
  const node = await enter(rig, runA);
  assertEquals([node.refused?.code, node.refused?.retryAfterMs], ["unavailable", 10_000]);
  rig.admit = () => new Promise(() => {});
  const other = await enter(rig, runB);
  await rig.clock.advanceAsync(10_000);
  assertEquals(other.refused?.code, "timeout");
  await leave(rig, node, other);
});

/** What may happen, in any order. */
type Step =
  | { readonly kind: "arrive"; readonly run: number; readonly index: number }
  | { readonly kind: "admit" | "cut" | "vanish"; readonly which: number }
  | { readonly kind: "wait"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("arrive" as const), run: fc.nat(2), index: fc.nat(3) }),
  fc.record({ kind: fc.constantFrom("admit" as const, "cut" as const, "vanish" as const), which: fc.nat(9) }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(30_000) }),
);

Deno.test("whatever order hellos, admissions and ends come in, there is one node at most, and what it has is up", async () => {
  const runs = [3, 4, 5].map((seed) => newNodeToken(new SeededRandom(seed)));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const waiting: PromiseWithResolvers<Admission>[] = [];
      const rig = new NodeRig({
        authLimits: { peer: { perSecond: 1000, burst: 1000 } },
        admit: () => {
          const question = Promise.withResolvers<Admission>();
          waiting.push(question);
          return question.promise;
        },
      });
      const nodes: { readonly node: RawNode; readonly run: string }[] = [];
      for (const next of steps) {
        if (next.kind === "arrive") {
          const run = runs[next.run]!;
          const node = await arrive(rig);
          node.hello({ runId: run, tunnel: { index: next.index, count: 4 } });
          nodes.push({ node, run });
        } else if (next.kind === "wait") await rig.clock.advanceAsync(next.ms);
        else if (next.kind === "admit") waiting[next.which]?.resolve(admission);
        else if (next.kind === "cut") nodes[next.which]?.node.close();
        else rig.sockets[next.which]?.abort();
        await rig.clock.advanceAsync(1);
        const live = rig.tunnels.get(identity.peerId);
        assertEquals(rig.tunnels.size, live ? 1 : 0);
        const up = nodes.filter(({ node }) => node.welcome && !node.refused && !node.isOver);
        assertEquals(live?.tunnels ?? 0, up.length);
        assert(up.every(({ run }) => run === live?.runId));
        assertEquals(live?.gone.aborted ?? false, false);
      }
      for (const question of waiting) question.resolve(admission);
      await leave(rig, ...nodes.map(({ node }) => node));
    }),
    { numRuns: 100 },
  );
});

Deno.test("nodes that lose their tunnels again and again are all there in the end, each once", () =>
  withSeed(8, async (random) => {
    const rig = new NodeRig({ seed: 8, authLimits: { address: { perSecond: 1000, burst: 1000 } } });
    const nodes = Array.from({ length: 8 }, (_, at) => rig.node({ seed: 100 + at, tunnels: 1 + at % 4 }));
    for (let round = 0; round < 60; round++) {
      const socket = rig.sockets[Math.floor(random.next() * rig.sockets.length)];
      socket?.abort();
      rig.isReachable = random.next() > 0.1;
      await rig.clock.advanceAsync(random.next() * 2000);
      assert(rig.tunnels.size <= nodes.length);
    }
    rig.isReachable = true;
    await rig.clock.advanceAsync(120_000);
    assertEquals(rig.tunnels.size, nodes.length);
    for (const [at, { client, nodeId }] of nodes.entries()) {
      assertEquals(client.tunnels, 1 + at % 4);
      assertEquals(rig.tunnels.get(nodeId)!.tunnels, 1 + at % 4);
    }
    await rig.end(...nodes);
    assertEquals(rig.clock.pendingTimers, 0);
  }));
