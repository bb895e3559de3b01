import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { drawKeyPair } from "../noise_ik.ts";
import { answerFirst, SealInitiator } from "../sealed_handshake.ts";
import { portableWireGuardCrypto } from "../wireguard/crypto.ts";
import { hopPrologue, HopSeal, hopSlab } from "./hop_seal.ts";
import { MAX_MESSAGE_BYTES } from "./messages.ts";

const suite = portableWireGuardCrypto;

function hop(acceptorId = "acceptor", believedId = acceptorId) {
  const tools = { crypto: suite, random: new SeededRandom(1) };
  const central = drawKeyPair(suite, tools.random);
  const upstream = drawKeyPair(suite, tools.random);
  const prologue = hopPrologue(believedId);
  using initiator = new SealInitiator(tools, { local: upstream, remote: central.publicKey, prologue });
  const answer = answerFirst(
    tools,
    { local: central, prologue: hopPrologue(acceptorId), accept: (key) => key[0] === upstream.publicKey[0] },
    initiator.first!,
  );
  if (!answer) return undefined;
  const slab = hopSlab();
  return {
    near: new HopSeal(suite, initiator.finish(answer.second)!, slab),
    far: new HopSeal(suite, answer.keys, slab),
  };
}

Deno.test("messages of a hop come out as they went in, both ways, joined of parts", () => {
  const { near, far } = hop()!;
  assertEquals(far.open(near.seal().slice()), new Uint8Array(0));
  fc.assert(fc.property(fc.array(fc.uint8Array(), { maxLength: 4 }), fc.boolean(), (parts, isNear) => {
    const [from, to] = isNear ? [near, far] : [far, near];
    const sealed = from.seal(...parts).slice();
    assertEquals(sealed.length, parts.reduce((sum, part) => sum + part.length, 16));
    assertEquals(to.open(sealed)?.slice(), Uint8Array.from(parts.flatMap((part) => [...part])));
  }));
});

Deno.test("a message that is changed, doubled, left out or the other way round is not opened", () => {
  const text = Uint8Array.of(1, 2, 3);
  const rows: { name: string; spoil: (near: HopSeal, far: HopSeal) => Uint8Array }[] = [
    { name: "changed", spoil: (near) => near.seal(text).slice().fill(9, 0, 1) },
    { name: "cut", spoil: (near) => near.seal(text).slice(1) },
    {
      name: "doubled",
      spoil: (near, far) => {
        const sealed = near.seal(text).slice();
        assert(far.open(sealed));
        return sealed;
      },
    },
    {
      name: "after one that is missing",
      spoil: (near) => {
        near.seal(text);
        return near.seal(text).slice();
      },
    },
    { name: "one's own", spoil: (_, far) => far.seal(text).slice() },
    { name: "nothing", spoil: () => new Uint8Array(0) },
  ];
  for (const { name, spoil } of rows) {
    const { near, far } = hop()!;
    assertEquals(far.open(spoil(near, far)), undefined, name);
  }
});

Deno.test("no bytes make a hop throw", () => {
  const { far } = hop()!;
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (any) => assertEquals(far.open(any), undefined)));
  assertEquals(far.open(new Uint8Array(MAX_MESSAGE_BYTES + 17)), undefined);
  assertEquals(far.receivedCount, 0);
});

Deno.test("the longest message fits, one byte more is a mistake of ours", () => {
  const { near, far } = hop()!;
  const longest = new Uint8Array(MAX_MESSAGE_BYTES).fill(3);
  assertEquals(far.open(near.seal(longest).slice())?.length, MAX_MESSAGE_BYTES);
  assertThrows(() => near.seal(longest, Uint8Array.of(1)), RangeError);
  assert(far.open(near.seal(Uint8Array.of(1)).slice()));
});

Deno.test("a hop that is meant for another is not taken", () => {
  assertNotEquals(hop("a", "a"), undefined);
  assertEquals(hop("a", "b"), undefined);
});
