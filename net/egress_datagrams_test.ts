import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import { policyOf } from "../protocol/egress_policy.ts";
import { parseIp } from "../protocol/ip.ts";
import { type Datagrams, type Path, type Received, writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { direct, type DirectOptions } from "./egress.ts";
import { memoryStreamPair } from "./memory.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A UDP socket of the test's own. */
function udpSocket(hostname = "127.0.0.1") {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  return {
    socket,
    target: { host: hostname, port: (socket.addr as Deno.NetAddr).port },
    [Symbol.dispose]: () => socket.close(),
  };
}

function openPath(options: DirectOptions = {}, limits: Record<string, number> = {}): Path {
  return direct(policyOf({ allow_addresses: ["loopback"], limits }), options);
}

async function receiveText(datagrams: Datagrams): Promise<string> {
  const buffer = new Uint8Array(2048);
  const received = await datagrams.receive(buffer);
  return `${decoder.decode(buffer.subarray(0, received!.length))} from ${received!.from.host}`;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => work, DialError)).code;
}

Deno.test("a datagram goes out and its answer comes back, over v4 and v6 through one socket each", async () => {
  using v4 = udpSocket();
  using v6 = udpSocket("::1");
  using path = openPath();
  using datagrams = await path.datagrams!();
  for (const { socket, target } of [v4, v6]) {
    await datagrams.send(encoder.encode("ping"), target);
    const [data, from] = await socket.receive();
    assertEquals(decoder.decode(data), "ping");
    await socket.send(encoder.encode("pong"), from);
    assertEquals(await receiveText(datagrams), `pong from ${target.host}`);
  }
});

Deno.test("a name is resolved once for many datagrams, and the checked address is what they go to", async () => {
  using server = udpSocket();
  let calls = 0;
  const resolver = { resolve: () => Promise.resolve([parseIp(calls++ === 0 ? "127.0.0.1" : "10.0.0.1")!]) };
  using path = openPath({ resolver });
  using datagrams = await path.datagrams!();
  for (const text of ["one", "two", "three"]) {
    await datagrams.send(encoder.encode(text), { host: "dns.example", port: server.target.port });
    assertEquals(decoder.decode((await server.socket.receive())[0]), text);
  }
  assertEquals(calls, 1);
});

Deno.test("closed addresses, ports and names are refused, whatever their spelling", async () => {
  using path = direct(policyOf({ hosts: ["deny *.bad.example"] }), {
    resolver: { resolve: () => Promise.resolve([parseIp("127.0.0.1")!]) },
  });
  using datagrams = await path.datagrams!();
  for (const host of ["127.0.0.1", "0x7f.1", "::ffff:1.1.1.1", "home.example", "x.bad.example"]) {
    assertEquals(await codeOf(datagrams.send(new Uint8Array(1), { host, port: 53 })), "denied", host);
  }
  assertEquals(await codeOf(datagrams.send(new Uint8Array(1), { host: "1.1.1.1", port: 25 })), "denied");
  assertEquals(await codeOf(datagrams.send(new Uint8Array(1), { host: "a b", port: 53 })), "unresolved");
});

Deno.test("only those who were sent to are heard, by address and by port", async () => {
  using server = udpSocket();
  using stranger = udpSocket();
  using path = openPath();
  using datagrams = await path.datagrams!();
  await datagrams.send(encoder.encode("ping"), server.target);
  const [, from] = await server.socket.receive();
  await stranger.socket.send(encoder.encode("let me in"), from);
  await server.socket.send(encoder.encode("pong"), from);
  assertEquals(await receiveText(datagrams), "pong from 127.0.0.1");
});

Deno.test("a datagram longer than the buffer is cut to it, and the next is whole", async () => {
  using server = udpSocket();
  using path = openPath();
  using datagrams = await path.datagrams!();
  await datagrams.send(encoder.encode("ping"), server.target);
  const [, from] = await server.socket.receive();
  await server.socket.send(encoder.encode("0123456789"), from);
  await server.socket.send(encoder.encode("next"), from);
  const small = new Uint8Array(4);
  const first = await datagrams.receive(small);
  assertEquals([first!.length, decoder.decode(small)], [4, "0123"]);
  assertEquals(await receiveText(datagrams), "next from 127.0.0.1");
});

Deno.test("many sends at once all arrive", async () => {
  using server = udpSocket();
  using path = openPath();
  using datagrams = await path.datagrams!();
  await Promise.all(Array.from({ length: 32 }, (_, at) => datagrams.send(new Uint8Array([at]), server.target)));
  const seen = new Set<number>();
  while (seen.size < 32) seen.add((await server.socket.receive())[0][0]!);
});

Deno.test("close ends a pending receive with null and may be repeated", async () => {
  using server = udpSocket();
  using path = openPath();
  const datagrams = await path.datagrams!();
  await datagrams.send(new Uint8Array(1), server.target);
  const pending = datagrams.receive(new Uint8Array(9));
  datagrams.close();
  datagrams.close();
  assertEquals(await pending, null);
  assertEquals(await codeOf(datagrams.send(new Uint8Array(1), server.target)), "path_down");
});

Deno.test("closing the egress closes its datagram sockets", async () => {
  const path = openPath();
  const datagrams = await path.datagrams!();
  const pending: Promise<Received | null> = datagrams.receive(new Uint8Array(9));
  path.close();
  assertEquals(await pending, null);
  assertEquals(await codeOf(path.datagrams!()), "path_down");
});

Deno.test("a socket that is silent closes itself, one in use does not", async () => {
  using server = udpSocket();
  const clock = new FakeClock();
  using path = openPath({ clock, datagramIdleMs: 1_000 });
  const datagrams = await path.datagrams!();
  clock.advance(900);
  await datagrams.send(new Uint8Array(1), server.target);
  clock.advance(900);
  await datagrams.send(new Uint8Array(1), server.target);
  clock.advance(1_000);
  assertEquals(await datagrams.receive(new Uint8Array(1)), null);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("the cap on datagram sockets answers busy until one closes", async () => {
  using path = openPath({}, { max_datagram_sockets: 1 });
  const first = await path.datagrams!();
  assertEquals(await codeOf(path.datagrams!()), "busy");
  first.close();
  (await path.datagrams!()).close();
});

Deno.test("datagrams beyond the byte rate are lost", async () => {
  using server = udpSocket();
  const clock = new FakeClock();
  using path = openPath({ clock }, { max_upload_bytes_per_second: 10_000 });
  using datagrams = await path.datagrams!();
  await datagrams.send(new Uint8Array(3_000), server.target); // a burst is 1,000: it now owes two
  await datagrams.send(new Uint8Array(500), server.target);
  clock.advance(50);
  await datagrams.send(new Uint8Array(400), server.target);
  const lengths = [(await server.socket.receive())[0].length, (await server.socket.receive())[0].length];
  assertEquals(lengths, [3_000, 400]);
});

Deno.test("datagrams pass beside a stream that takes all the rate allows", async () => {
  using server = udpSocket();
  const clock = new FakeClock();
  using path = direct(policyOf({ allow_addresses: ["loopback"], limits: { max_upload_bytes_per_second: 100_000 } }), {
    clock,
    connect: () => Promise.resolve(memoryStreamPair(1_000_000)[0]),
  });
  using datagrams = await path.datagrams!();
  using stream = await path.dial({ host: "127.0.0.1", port: 80 });
  const writing = writeAll(stream, new Uint8Array(200_000));
  await clock.advanceAsync(500);
  await datagrams.send(new Uint8Array(1_200), server.target);
  assertEquals((await server.socket.receive())[0].length, 1_200);
  await clock.advanceAsync(3_000);
  await writing;
});

Deno.test("what the network would lose is lost without an error", async () => {
  using server = udpSocket();
  using path = openPath();
  using datagrams = await path.datagrams!();
  await datagrams.send(new Uint8Array(66_000), server.target);
  await datagrams.send(new Uint8Array(1), server.target);
  assertEquals((await server.socket.receive())[0].length, 1);
});

Deno.test("a new policy is asked about every target again, and those sent to before are no longer heard", async () => {
  using server = udpSocket();
  let policy = policyOf({ allow_addresses: ["loopback"] });
  const source = {
    get current() {
      return policy;
    },
    subscribe: () => ({ [Symbol.dispose]() {} }),
  };
  using path = direct(source);
  using datagrams = await path.datagrams!();
  await datagrams.send(new Uint8Array(1), server.target);
  const [, from] = await server.socket.receive();
  policy = policyOf();
  assertEquals(await codeOf(datagrams.send(new Uint8Array(1), server.target)), "denied");
  await server.socket.send(encoder.encode("from one no longer allowed"), from);
  using other = udpSocket();
  policy = policyOf({ allow_addresses: ["loopback"] });
  await datagrams.send(new Uint8Array(1), other.target);
  const [, again] = await other.socket.receive();
  await other.socket.send(encoder.encode("allowed"), again);
  assertEquals(await receiveText(datagrams), "allowed from 127.0.0.1");
});
