/** Strangers at the relay's ports, ports that close under traffic, thousands of sessions, and an engine that fails. */

import { assert, assertEquals, assertInstanceOf, assertLess } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { encodeReflectionRequest } from "../../protocol/packets/reflection.ts";
import { cookieFor, dataFor, initiationFor, responseFor } from "../../protocol/wireguard/fixtures/relayed_messages.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { clientKey, exitKey, RelayedPair, TO_CLIENT, TO_EXIT } from "./fixtures/relayed_pair.ts";
import { openRelay } from "./relay.ts";

/** No more than the smallest socket buffer holds, that of a stock system without root: what is tested is not the kernel. */
const FLOOD = { bytes: 100_000, datagrams: 250 } as const;

/** Data still passes both ways, between the places where it did. */
function assertJoined(pair: RelayedPair, note?: string): void {
  pair.client.send(pair.at, dataFor(TO_EXIT, { bytes: 333 }));
  assertEquals(pair.exit.receive(1), [dataFor(TO_EXIT, { bytes: 333 })], note);
  pair.exit.send(pair.at, dataFor(TO_CLIENT, { bytes: 444 }));
  assertEquals(pair.client.receive(1), [dataFor(TO_CLIENT, { bytes: 444 })], note);
}

Deno.test("floods of anything from strangers reach nobody, and the sides do not notice", async () => {
  await using pair = await RelayedPair.open();
  using stranger = pair.stranger();
  const other = new Uint8Array(32).fill(9);
  const rows = [
    { name: "initiations for somebody else", packet: initiationFor(other, 1) },
    { name: "responses to nothing", packet: responseFor(clientKey, 1, 2) },
    { name: "cookies", packet: cookieFor(TO_CLIENT + 1) },
    { name: "data to an index that is used", packet: dataFor(TO_EXIT, { bytes: 1452 }) },
    { name: "garbage", packet: new Uint8Array(1452).fill(0xee) },
    { name: "oversize", packet: new Uint8Array(65_507).fill(4) },
    { name: "one byte", packet: Uint8Array.of(4) },
    { name: "no byte", packet: new Uint8Array(0) },
  ];
  for (const { name, packet } of rows) {
    const copies = Math.min(FLOOD.datagrams, Math.floor(FLOOD.bytes / Math.max(1, packet.length)));
    for (let count = 0; count < copies; count++) stranger.send(pair.at, packet);
    assertJoined(pair, name);
    assertEquals([pair.client.drain(), pair.exit.drain(), stranger.drain()], [0, 0, 0], name);
  }
  assertEquals(pair.relay !== undefined && (await pair.relay.counts())[0]!.exitAt?.port, pair.exit.socket.port);
});

Deno.test("of a flood of initiations with the right mac a few a second reach the exit, and the client stays", async () => {
  await using pair = await RelayedPair.open();
  using stranger = pair.stranger();
  for (let count = 0; count < FLOOD.datagrams; count++) stranger.send(pair.at, initiationFor(exitKey, count));
  pair.client.send(pair.at, dataFor(TO_EXIT));
  const isData = (packet: Uint8Array) => packet[0] === 4;
  let forged = 0;
  for (let [packet] = pair.exit.receive(1); !isData(packet!); [packet] = pair.exit.receive(1)) forged++;
  assertLess(forged, 100);
  assertJoined(pair);
});

Deno.test("questions for a reflection are answered one for one, and not in floods", async () => {
  await using pair = await RelayedPair.open();
  using stranger = pair.stranger();
  const question = encodeReflectionRequest(new Uint8Array(8));
  for (let count = 0; count < FLOOD.datagrams; count++) stranger.send(pair.at, question);
  assertJoined(pair);
  const answers = stranger.drain();
  assert(answers > 0 && answers < 100, `${answers}`);
});

Deno.test("a flood of questions from many hosts at one port leaves other ports' answers alone", async () => {
  await using pair = await RelayedPair.open();
  using stranger = pair.stranger(), asker = pair.stranger();
  const question = encodeReflectionRequest(new Uint8Array(8));
  const other = { ...pair.at, port: await pair.relay.open({ sessionId: "other", clientKey, exitKey }) };
  for (let host = 1; host <= 250; host++) stranger.sendAs(Uint8Array.of(127, 1, 0, host), pair.at, question);
  assertJoined(pair);
  asker.send(other, question);
  asker.receive(1);
  const [flooded] = await pair.relay.counts();
  // What is left out of the 250 was not answered.
  assert(flooded!.droppedDatagrams > 150, `${flooded!.droppedDatagrams}`);
});

Deno.test("batches of whatever sizes and bytes break nothing", async () => {
  await using pair = await RelayedPair.open();
  using stranger = pair.stranger();
  const valid = fc.constantFrom(
    initiationFor(exitKey, 1),
    responseFor(clientKey, 1, TO_CLIENT),
    cookieFor(TO_CLIENT),
    dataFor(TO_EXIT, { bytes: 148 }),
    encodeReflectionRequest(new Uint8Array(8)),
  );
  const anyPacket = fc.oneof(valid, mutationsOf(valid), anyBytes(200)).filter(({ length }) => length > 0);
  // The sides themselves are no better than strangers here: their data may be anything.
  const anySender = fc.constantFrom(stranger, pair.client, pair.exit);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anySender, anyPacket, fc.integer({ min: 1, max: 60 })), { maxLength: 20 }),
      (sent) => {
        for (const [sender, packet, copies] of sent) sender.sendBatch(pair.at, Array(copies).fill(packet));
      },
    ),
    { numRuns: 50 },
  );
  // Everything sent before this has been dealt with when its answer comes.
  for (const socket of [pair.exit, pair.client]) {
    socket.send(pair.at, dataFor(1, { bytes: 1234 }));
    const other = socket === pair.exit ? pair.client : pair.exit;
    for (let [packet] = other.receive(1); packet!.length !== 1234;) [packet] = other.receive(1);
  }
  pair.client.drain();
  pair.exit.drain();
  assertJoined(pair);
});

Deno.test("a port that closes under traffic takes nothing with it", async () => {
  await using pair = await RelayedPair.open();
  await using other = await RelayedPair.open();
  const data = Array.from({ length: 40 }, () => dataFor(TO_EXIT, { bytes: 1452 }));
  for (let round = 0; round < 20; round++) {
    const sessionId = `closing ${round}`;
    const port = await pair.relay.open({ sessionId, clientKey, exitKey });
    const at = { ...pair.at, port };
    for (let count = 0; count < 50; count++) pair.client.sendBatch(at, data);
    const ended = pair.relay.end(sessionId);
    for (let count = 0; count < 50; count++) pair.client.sendBatch(at, data);
    await ended;
    assertJoined(pair);
  }
  assertJoined(other);
});

Deno.test("five thousand sessions, opened and closed, leave no descriptor behind", async () => {
  const most = Number(/^Max open files\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1] ?? Infinity);
  // Where fewer may be open than that, as many as may.
  const sessions = Math.min(5000, most - 500);
  await using relay = await openRelay({ firstPort: 0, lastPort: 0 });
  const before = openDescriptors();
  const open = (at: number) => relay.open({ sessionId: `${at}`, clientKey, exitKey });
  const ports = await Promise.all(Array.from({ length: sessions }, (_, at) => open(at)));
  assertEquals(new Set(ports).size, sessions);
  assertEquals(openDescriptors(), before + sessions);
  assertEquals((await relay.counts()).length, sessions);
  await Promise.all(Array.from({ length: sessions }, (_, at) => relay.end(`${at}`)));
  assertEquals(openDescriptors(), before);
  assertEquals(await relay.counts(), []);
});

Deno.test("an engine that fails says why, and whoever waits for it is told", async () => {
  await using pair = await RelayedPair.open();
  const epoll = epollOf(pair.port);
  pair.libc.call.close(epoll);
  // Woken once more, it goes back to sleep on what is no longer there, before or after it has answered.
  await pair.relay.counts().catch(() => {});
  const error = await pair.relay.ended;
  assertInstanceOf(error, CulvertError);
  assertEquals(error.code, "EBADF");
  const late = await pair.relay.counts().catch((error) => error);
  assertEquals(late.code, "closed");
  await pair.relay.close();
});

function openDescriptors(): number {
  return Array.from(Deno.readDirSync("/proc/self/fd")).length;
}

/** The epoll instance that watches the socket of a port. */
function epollOf(port: number): number {
  const table = Deno.readTextFileSync("/proc/self/net/udp6") + Deno.readTextFileSync("/proc/self/net/udp");
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const inode = table.split("\n").map((line) => line.trim().split(/\s+/)).find(([, local]) =>
    local?.endsWith(`:${hex}`)
  )?.[9];
  const fds = Array.from(Deno.readDirSync("/proc/self/fd"), ({ name }) => name);
  const socket = fds.find((fd) => linkOf(fd) === `socket:[${inode}]`);
  const epoll = fds.find((fd) =>
    linkOf(fd) === "anon_inode:[eventpoll]" &&
    new RegExp(`^tfd:\\s+${socket} `, "m").test(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))
  );
  return Number(epoll);
}

function linkOf(fd: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // closed meanwhile
  }
}
