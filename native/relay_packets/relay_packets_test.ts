/** The engine on real sockets: batches, both families, strangers, ports that are taken. */

import { assertEquals, assertInstanceOf, assertNotEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { clientKeys, clientSecret } from "../../protocol/sealed_route/access.ts";
import { LABEL_BYTES, routeBytes, RouteKind, TICKET_BYTES, turnAround } from "../../protocol/sealed_route/datagram.ts";
import { EpochKeys } from "../../protocol/sealed_route/epoch_keys.ts";
import { datagramOf } from "../../protocol/sealed_route/fixtures/routed_network.ts";
import { parseRouteRule } from "../../protocol/sealed_route/policy.ts";
import { encodeQuestion, readAnswer, RouteStatus } from "../../protocol/sealed_route/question.ts";
import { TicketSealer } from "../../protocol/sealed_route/ticket.ts";
import { randomOf } from "../../protocol/random.ts";
import { Slab } from "../../protocol/slab.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { openLibc } from "../libc.ts";
import { UdpEndpoint } from "../udp_endpoint.ts";
import { UdpSocket } from "../udp_socket.ts";
import { openPacketRelay, type PacketRelay, type PacketRelayOptions } from "./relay_packets.ts";

const relayKey = crypto.getRandomValues(new Uint8Array(32));
const random = randomOf(crypto);
const LOOPBACK = { v4: parseIp("127.0.0.1")!, v6: parseIp("::1")! };
const PAYLOAD = new TextEncoder().encode("something");

function openRelay(options: Partial<PacketRelayOptions> = {}): Promise<PacketRelay> {
  return openPacketRelay({
    ...{ relayKey, clients: ["alice"], listen: { address: parseIp("::")!, port: 0 } },
    rules: ["127.0.0.0/8", "::1"].map((rule) => parseRouteRule(rule)!),
    ...options,
  });
}

/** A UDP socket of either family. */
class Host implements Disposable {
  readonly address: Uint8Array<ArrayBuffer>;
  readonly port: number;
  readonly #socket: Deno.DatagramConn;
  readonly #host: string;

  constructor(family: "v4" | "v6" = "v4") {
    this.address = LOOPBACK[family];
    this.#host = family === "v4" ? "127.0.0.1" : "::1";
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: this.#host, port: 0 });
    this.port = (this.#socket.addr as Deno.NetAddr).port;
  }

  async send(port: number, bytes: Uint8Array): Promise<void> {
    await this.#socket.send(bytes, { transport: "udp", hostname: this.#host, port });
  }

  async receive(): Promise<Uint8Array<ArrayBuffer>> {
    const [bytes] = await within("a datagram", this.#socket.receive());
    return bytes.slice() as Uint8Array<ArrayBuffer>;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** Asks as a client does. */
async function ask(
  host: Host,
  relay: PacketRelay,
  to: { readonly address: Uint8Array<ArrayBuffer>; readonly port: number },
) {
  const tools = { keys: clientKeys(clientSecret(relayKey, "alice")), suite: portableWireGuardCrypto, random };
  const label = random.fill(new Uint8Array(LABEL_BYTES));
  const { payload, nonce } = encodeQuestion({ to, wallMs: Date.now() }, label, tools);
  await host.send(relay.port, datagramOf(RouteKind.question, [], payload, { label }));
  return readAnswer((await host.receive()).subarray(routeBytes(0)), { label, nonce }, tools)!;
}

for (const [one, other] of [["v4", "v4"], ["v6", "v6"], ["v4", "v6"], ["v6", "v4"]] as const) {
  Deno.test(`a client on IP${one} asks, sends, and is answered by a server on IP${other}`, async () => {
    await using relay = await openRelay();
    using client = new Host(one), server = new Host(other);
    const answer = await ask(client, relay, server);
    assertEquals(answer.status, RouteStatus.granted);
    assertEquals(answer.seen, { address: client.address, port: client.port });
    await client.send(relay.port, datagramOf(RouteKind.data, [answer.ticket], PAYLOAD));
    const came = await server.receive();
    assertEquals(came.subarray(routeBytes(1)), PAYLOAD);
    turnAround(came, 0, RouteKind.data);
    await server.send(relay.port, came);
    assertEquals((await client.receive()).subarray(routeBytes(1)), PAYLOAD);
    const counts = await relay.counts();
    assertEquals([counts.forwardedPackets, counts.questions.granted], [3, 1]);
  });
}

Deno.test("a batch for several places comes apart, and each datagram goes where its own ticket says", async () => {
  await using relay = await openRelay({ listen: { address: LOOPBACK.v4, port: 0 } });
  using libc = openLibc();
  using near = new UdpSocket(libc, { isV6: false, port: 0 });
  using first = new Host(), second = new Host();
  using keys = new EpochKeys(relayKey, portableWireGuardCrypto);
  const sealer = new TicketSealer(keys, random);
  const ticketTo = (b: Host) => {
    const slab = new Slab(TICKET_BYTES);
    const a = { address: LOOPBACK.v4, port: near.port };
    sealer.seal(slab, 0, { a, b, account: 0, lifetimeMs: 60_000 }, Date.now());
    return slab.bytes.slice();
  };
  const ways = [ticketTo(first), ticketTo(second), random.fill(new Uint8Array(TICKET_BYTES))];
  // One of another key between two for the same place, and a last one that is shorter.
  const order = [0, 0, 2, 0, 1, 1, 0];
  const datagrams = order.map((way, index) =>
    datagramOf(RouteKind.data, [ways[way]!], new Uint8Array(index === order.length - 1 ? 20 : 100).fill(index))
  );
  const bytes = datagrams[0]!.length, slab = new Slab(bytes * datagrams.length);
  datagrams.forEach((datagram, index) => slab.bytes.set(datagram, index * bytes));
  const total = bytes * (order.length - 1) + datagrams.at(-1)!.length;
  const to = UdpEndpoint.from({ address: LOOPBACK.v4, port: relay.port });
  near.sender.queue(slab, 0, total, bytes, to, 0);
  near.sender.flush();
  const read = async (host: Host, count: number) => {
    const came = [];
    for (let each = 0; each < count; each++) came.push((await host.receive()).slice(routeBytes(1)));
    return came;
  };
  const filled = (index: number) => new Uint8Array(index === 6 ? 20 : 100).fill(index);
  assertEquals(await read(first, 4), [0, 1, 3, 6].map(filled));
  assertEquals(await read(second, 2), [4, 5].map(filled));
  assertEquals((await relay.counts()).dropped.foreign, 1);
});

Deno.test("strangers, old keys and noise go nowhere and are counted", async () => {
  await using relay = await openRelay();
  using client = new Host(), server = new Host(), stranger = new Host();
  const { ticket } = await ask(client, relay, server);
  const datagram = datagramOf(RouteKind.data, [ticket], PAYLOAD);
  await stranger.send(relay.port, datagram);
  await stranger.send(relay.port, PAYLOAD);
  await stranger.send(relay.port, datagramOf(RouteKind.question, [], new Uint8Array(120)));
  await stranger.send(relay.port, datagramOf(RouteKind.data, [random.fill(new Uint8Array(64))], PAYLOAD));
  await stranger.send(relay.port, new Uint8Array());
  await client.send(relay.port, datagram);
  assertEquals((await server.receive()).subarray(routeBytes(1)), PAYLOAD);
  const { dropped, questions } = await relay.counts();
  assertEquals(dropped.stranger, 1);
  assertEquals(dropped.foreign, 1);
  assertNotEquals(dropped.malformed, 0);
  assertEquals(questions.ignored, 1);
});

Deno.test("private addresses are closed unless they are opened", async () => {
  await using relay = await openRelay({ rules: [] });
  using client = new Host();
  for (
    const to of ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.1.1", "fd00::1", "64:ff9b::a00:1", "2002:a00:1::1"]
  ) {
    assertEquals((await ask(client, relay, { address: parseIp(to)!, port: 7000 })).status, RouteStatus.closed, to);
  }
  assertEquals((await ask(client, relay, { address: parseIp("9.9.9.9")!, port: 53 })).status, RouteStatus.closed);
  assertEquals((await ask(client, relay, { address: parseIp("9.9.9.9")!, port: 7000 })).status, RouteStatus.granted);
});

Deno.test("a relay of one IPv4 address does not lead to IPv6", async () => {
  const rules = ["127.0.0.0/8", "::1"].map((rule) => parseRouteRule(rule)!);
  await using relay = await openRelay({ listen: { address: LOOPBACK.v4, port: 0 }, rules });
  using client = new Host();
  assertEquals((await ask(client, relay, { address: LOOPBACK.v6, port: 7000 })).status, RouteStatus.closed);
});

Deno.test("a port that is taken is an error, unless both share it", async () => {
  const listen = { address: LOOPBACK.v4, port: 0 };
  await using first = await openRelay({ listen, sharesPort: true });
  const same = { address: LOOPBACK.v4, port: first.port };
  const error = await assertRejects(() => openRelay({ listen: same }), CulvertError, "EADDRINUSE");
  assertInstanceOf(error, CulvertError);
  await using second = await openRelay({ listen: same, sharesPort: true });
  assertEquals(second.port, first.port);
});

Deno.test("what is not fit is refused before anything starts", async () => {
  const wrong: Partial<PacketRelayOptions>[] = [
    { relayKey: new Uint8Array(31) },
    { clients: ["Alice"] },
    { ticketLifetimeMs: 10 },
    { ticketLifetimeMs: 3_600_001 },
  ];
  for (const options of wrong) await assertRejects(() => openRelay(options), RangeError, "Cannot open a packet relay");
});

Deno.test("a rate holds a client back", async () => {
  await using relay = await openRelay({ accountBytesPerS: 1000 });
  using client = new Host(), server = new Host();
  const { ticket } = await ask(client, relay, server);
  const datagram = datagramOf(RouteKind.data, [ticket], new Uint8Array(1200));
  for (let count = 0; count < 150; count++) await client.send(relay.port, datagram);
  await eventually("some are held back", async () => (await relay.counts()).dropped.limited >= 40);
});

Deno.test("a flood of noise, of broken datagrams and of questions that nobody may ask does not disturb it", async () => {
  await using relay = await openRelay({ listen: { address: LOOPBACK.v4, port: 0 } });
  using client = new Host(), server = new Host(), stranger = new Host();
  const { ticket } = await ask(client, relay, server);
  const valid = datagramOf(RouteKind.data, [ticket], PAYLOAD);
  const question = datagramOf(RouteKind.question, [ticket], random.fill(new Uint8Array(120)), { passed: 1 });
  const cases = fc.sample(fc.oneof(mutationsOf(fc.constantFrom(valid, question)), anyBytes(1400)), 3000);
  for (const [index, bytes] of cases.entries()) {
    await (index % 2 ? stranger : client).send(relay.port, bytes);
    // No more at once than the smallest socket buffer holds.
    if (index % 100 === 0) await relay.counts();
  }
  assertEquals((await ask(client, relay, server)).status, RouteStatus.granted);
  const { dropped } = await relay.counts();
  assertNotEquals(dropped.foreign * dropped.malformed * dropped.stranger, 0);
});
