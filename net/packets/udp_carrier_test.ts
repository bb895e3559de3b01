import { assert, assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { randomOf } from "../../protocol/random.ts";
import { openUdpCarrier } from "../../native/packets/udp_carrier.ts";
import { CarrierListener, testPacketCarrierContract } from "../../testing/packet_carrier_contract.ts";
import { type CarrierOptions, openCarrier } from "./open_carrier.ts";
import { openDatagramCarrier } from "./udp_carrier.ts";

const surroundings = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };

function optionsOf(options: Partial<CarrierOptions>): CarrierOptions {
  return { kind: "udp", ...surroundings, ...options };
}

const kinds = [
  { name: "UDP by the kernel's batches", open: (options: CarrierOptions) => Promise.try(openUdpCarrier, options) },
  { name: "UDP datagram by datagram", open: openDatagramCarrier },
];

for (const { name, open } of kinds) {
  for (const host of ["127.0.0.1", "::1"]) {
    testPacketCarrierContract(`${name}, ${host}`, {
      async setUp() {
        const far = await open(optionsOf({ listen: { host, ports: 0 } }));
        const near = await open(optionsOf({ peer: { host, ports: far.localPorts[0]! } }));
        return both(near, far, host);
      },
    });
  }

  Deno.test(`${name}: on every address, both families reach it, each answered by its own`, async () => {
    await using far = await open(optionsOf({}));
    const farEnd = new CarrierListener(far);
    farEnd.onPacket = (bytes, from) => farEnd.send(bytes, from);
    for (const host of ["127.0.0.1", "::1"]) {
      await using near = await open(optionsOf({ listen: { host } }));
      const nearEnd = new CarrierListener(near);
      nearEnd.send(Uint8Array.of(4, 6), near.place(host, far.localPorts[0]!));
      await nearEnd.until(1);
      assertEquals(farEnd.places.at(-1)!.host, host);
      assertEquals(farEnd.places.at(-1)!.port, near.localPorts[0]);
    }
  });

  Deno.test(`${name}: what does not come from the peer is not taken`, async () => {
    const listen = { host: "127.0.0.1" };
    await using far = await open(optionsOf({ listen }));
    await using stranger = await open(optionsOf({ listen }));
    await using near = await open(optionsOf({ listen, peer: { host: "127.0.0.1", ports: far.localPorts[0]! } }));
    const [nearEnd, farEnd, strangeEnd] = [near, far, stranger].map((carrier) => new CarrierListener(carrier));
    strangeEnd!.send(Uint8Array.of(1), stranger.place("127.0.0.1", near.localPorts[0]!));
    farEnd!.send(Uint8Array.of(2), far.place("127.0.0.1", near.localPorts[0]!));
    await nearEnd!.until(1);
    assertEquals(nearEnd!.packets.map((packet) => [...packet]), [[2]]);
  });

  Deno.test(`${name}: on several ports, the answer leaves from the port that was asked`, async () => {
    await using far = await open(optionsOf({ listen: { host: "127.0.0.1", ports: freeSpan(3) } }));
    assertEquals(far.localPorts.length, 3);
    const farEnd = new CarrierListener(far);
    farEnd.onPacket = (bytes, from) => farEnd.send(bytes, from);
    await using near = await open(optionsOf({ listen: { host: "127.0.0.1" } }));
    const nearEnd = new CarrierListener(near);
    for (const [index, port] of far.localPorts.entries()) {
      nearEnd.send(Uint8Array.of(index), near.place("127.0.0.1", port));
      await nearEnd.until(index + 1);
      assertEquals(nearEnd.places[index]!.port, port);
    }
    assertEquals(new Set(farEnd.places.map(({ key }) => key)).size, 3);
  });

  Deno.test(`${name}: a host that is no address is refused`, async () => {
    await assertRejects(
      () => open(optionsOf({ listen: { host: "localhost" } })),
      CulvertError,
      "must be an IP address",
    );
    await assertRejects(
      () => open(optionsOf({ peer: { host: "localhost", ports: 1 } })),
      CulvertError,
      "must be an IP address",
    );
    await assertRejects(() => open(optionsOf({ peer: { host: "::1", ports: 0 } })), CulvertError, "Cannot use ports");
  });

  Deno.test(`${name}: a port that is taken is refused, and leaves nothing open`, async () => {
    await using far = await open(optionsOf({ listen: { host: "127.0.0.1" } }));
    const again = optionsOf({ listen: { host: "127.0.0.1", ports: far.localPorts[0]! } });
    const error = await assertRejects(
      () => open(again),
      CulvertError,
      `Cannot receive at UDP port ${far.localPorts[0]}`,
    );
    assertEquals(error.code, "port_in_use");
  });

  Deno.test(`${name}: what nobody listens to ends nothing`, async () => {
    await using gone = await open(optionsOf({ listen: { host: "127.0.0.1" } }));
    const port = gone.localPorts[0]!;
    await gone[Symbol.asyncDispose]();
    await using far = await open(optionsOf({ listen: { host: "127.0.0.1" } }));
    await using near = await open(optionsOf({ listen: { host: "127.0.0.1" } }));
    const nearEnd = new CarrierListener(near), farEnd = new CarrierListener(far);
    farEnd.onPacket = (bytes, from) => farEnd.send(bytes, from);
    for (let count = 1; count <= 3; count++) {
      nearEnd.send(Uint8Array.of(0), near.place("127.0.0.1", port));
      nearEnd.send(Uint8Array.of(1), near.place("127.0.0.1", far.localPorts[0]!));
      await nearEnd.until(count);
    }
  });
}

Deno.test("a UDP carrier is opened by its kind", async () => {
  await using carrier = await openCarrier(optionsOf({ listen: { host: "127.0.0.1" } }));
  assert(carrier.localPorts[0]! > 0);
});

function both(near: PacketCarrier, far: PacketCarrier, farHost: string) {
  return {
    near,
    far,
    farHost,
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
    },
  };
}

/** Ports in a row that are free now, above one that the system chose. */
function freeSpan(count: number): { first: number; count: number } {
  for (;;) {
    using stack = new DisposableStack();
    const open = (port: number) => {
      const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
      stack.defer(() => socket.close());
      return (socket.addr as Deno.NetAddr).port;
    };
    const first = open(0);
    try {
      for (let port = first + 1; port < first + count; port++) open(port);
      return { first, count };
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse || error instanceof TypeError)) throw error;
    }
  }
}
