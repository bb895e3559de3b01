import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { Slab } from "../slab.ts";
import { COOKIE_REPLY_BYTES, HANDSHAKE_QUEUE, INITIATION_BYTES, RESPONSE_BYTES } from "./constants.ts";
import { endpointAt } from "./fixtures/machine_network.ts";
import { HandshakeQueue } from "./handshake_queue.ts";

Deno.test("messages come out as they went in, in order, however often the ring goes round", () => {
  const queue = new HandshakeQueue();
  const slab = new Slab(512);
  const lengths = [INITIATION_BYTES, RESPONSE_BYTES, COOKIE_REPLY_BYTES];
  const sources = [endpointAt("192.0.2.1:1"), endpointAt("192.0.2.1:2")];
  const from = (index: number) => ({ source: () => sources[index]! });
  const nobody = { source: () => assert(false, "asked for a message that is not kept") as never };
  let taken = 0;
  for (let given = 0; given < 3 * HANDSHAKE_QUEUE - 2; given++) {
    slab.bytes.fill(given & 0xff);
    assertEquals(queue.push(slab, 7, lengths[given % 3]!, from(given % 2)), true);
    if (given % 3 === 0) continue;
    const { offset, length } = queue;
    assertEquals(length, lengths[taken % 3]);
    assertStrictEquals(queue.source, sources[taken % 2]!);
    assertEquals(queue.slab.bytes.slice(offset, offset + length), new Uint8Array(length).fill(taken & 0xff));
    queue.pop();
    taken++;
  }
  assertEquals(queue.size, HANDSHAKE_QUEUE);
  assertEquals(queue.push(slab, 0, INITIATION_BYTES, nobody), false, "a full queue takes nothing");
});
