import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Peer } from "./peer.ts";
import { WakeQueue } from "./wake_queue.ts";

function newPeer(): Peer {
  return new Peer(new Uint8Array(32), new Uint8Array(32));
}

Deno.test("the first peer is always the one to be looked at soonest, as in a list searched each time", () => {
  const step = fc.record({ peer: fc.nat({ max: 20 }), atMs: fc.nat({ max: 1000 }), isRemoval: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const queue = new WakeQueue();
    const peers = Array.from({ length: 21 }, newPeer);
    const times = new Map<Peer, number>();
    for (const { peer: number, atMs, isRemoval } of steps) {
      const peer = peers[number]!;
      if (isRemoval) {
        queue.remove(peer);
        times.delete(peer);
      } else {
        queue.wake(peer, atMs);
        times.set(peer, Math.min(atMs, times.get(peer) ?? Infinity));
      }
      assertEquals(queue.first?.wakeAtMs ?? Infinity, Math.min(Infinity, ...times.values()));
    }
    for (const atMs of [...times.values()].sort((one, other) => one - other)) {
      assertEquals(queue.first!.wakeAtMs, atMs);
      queue.remove(queue.first!);
    }
    assertEquals(queue.first, undefined);
  }));
});

Deno.test("a peer that is taken out comes back with whatever time it is given", () => {
  const queue = new WakeQueue();
  const peer = newPeer();
  queue.wake(peer, 5);
  queue.wake(peer, 9);
  assertEquals(peer.wakeAtMs, 5, "never put off");
  queue.remove(peer);
  queue.remove(peer);
  assertEquals([peer.wakeAtMs, peer.wakePlace], [Infinity, -1]);
  queue.wake(peer, 9);
  assertEquals(queue.first, peer);
});
