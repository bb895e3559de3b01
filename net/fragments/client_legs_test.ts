import { assertEquals } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { randomOf } from "../../protocol/random.ts";
import { BufferPool } from "../buffer_pool.ts";
import { ClientLegs } from "./client_legs.ts";
import { BlockedSockets, type Relay } from "./legs.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

/** Where nobody listens. */
function deadRelay(relayId: string): Relay {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return { relayId, url: `http://127.0.0.1:${listener.addr.port}/` };
}

for (
  const { name, mayReplace, relayIds } of [
    { name: "is replaced", mayReplace: true, relayIds: ["second"] },
    { name: "stays where the session cannot do without that leg", mayReplace: false, relayIds: ["first"] },
  ]
) {
  Deno.test(`a relay that cannot be reached counts as failed, and ${name}`, async () => {
    const spare = [deadRelay("first"), deadRelay("second")];
    const failed = Promise.withResolvers<string>();
    using legs = new ClientLegs({
      tools: {
        ...{ clock, random, primitives: portablePrimitives },
        pool: new BufferPool({ bufferBytes: 1024 }),
        fetch: (request) => fetch(request),
        blocked: new BlockedSockets(clock),
      },
      primitives: portablePrimitives,
      centralId: new Uint8Array(16),
      secret: new Uint8Array(32),
      wanted: { up: 1, down: 0 },
      draw: (_direction, count) => spare.splice(0, count),
      mayReplace: () => mayReplace,
      onFailed: (_direction, { relayId }) => failed.resolve(relayId),
    }, {
      onUp() {},
      onUpLost() {},
      onRefused() {},
      onUnreachable() {},
      onDown() {},
      onOpened() {},
      onData() {},
      onChange() {},
    });
    assertEquals(await failed.promise, "first");
    await Promise.resolve();
    assertEquals([...legs.up.values()].map(({ relay }) => relay.relayId), relayIds);
    legs.close();
    await legs.closed();
  });
}
