/** What the relay does with batches, of which it must take none apart that need not be and miss no handshake in one. */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { dataFor, initiationFor, responseFor } from "../../protocol/wireguard/fixtures/relayed_messages.ts";
import { parseIp } from "../../protocol/ip.ts";
import { UdpOpener } from "../udp_open.ts";
import { IP_RECVTOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_RECVTCLASS } from "../udp_options.ts";
import { BatchSocket, clientKey, exitKey, RelayedPair, TO_CLIENT, TO_EXIT } from "./fixtures/relayed_pair.ts";
import { Inbox } from "./inbox.ts";

function batch(index: number, sizes: readonly number[]): Uint8Array[] {
  return sizes.map((bytes, at) => dataFor(index, { bytes, mark: at + 1 }));
}

Deno.test("a batch arrives as the datagrams it was made of, in their order", async () => {
  await using pair = await RelayedPair.open();
  const rows = [
    { name: "equal ones", sizes: Array<number>(40).fill(1452) },
    { name: "a shorter last", sizes: [...Array<number>(44).fill(1452), 700] },
    { name: "a keepalive last", sizes: [...Array<number>(10).fill(1452), 32] },
    { name: "as many as the kernel cuts", sizes: Array<number>(64).fill(1000) },
    { name: "keepalives", sizes: Array<number>(64).fill(32) },
    { name: "as long as an initiation", sizes: Array<number>(30).fill(148) },
    { name: "large ones", sizes: Array<number>(7).fill(8952) },
  ];
  for (const { name, sizes } of rows) {
    pair.client.sendBatch(pair.at, batch(TO_EXIT, sizes));
    assertEquals(pair.exit.receive(sizes.length), batch(TO_EXIT, sizes), `${name}, to the exit`);
    pair.exit.sendBatch(pair.at, batch(TO_CLIENT, sizes));
    assertEquals(pair.client.receive(sizes.length), batch(TO_CLIENT, sizes), `${name}, to the client`);
  }
});

Deno.test("datagrams sent one by one arrive in their order, whatever their sizes", async () => {
  await using pair = await RelayedPair.open();
  // No more than the smallest socket buffer holds.
  const sizes = Array.from({ length: 42 }, (_, at) => [32, 1452, 1452, 1452, 100, 100, 9000][at % 7]!);
  for (let round = 0; round < 5; round++) {
    pair.client.send(pair.at, ...batch(TO_EXIT, sizes));
    assertEquals(pair.exit.receive(sizes.length), batch(TO_EXIT, sizes));
    pair.exit.send(pair.at, ...batch(TO_CLIENT, sizes));
    assertEquals(pair.client.receive(sizes.length), batch(TO_CLIENT, sizes));
  }
});

Deno.test("an initiation or a response behind data in a batch is noticed", async () => {
  await using pair = await RelayedPair.open();
  using moved = pair.stranger();
  // The client has moved: its new place is a candidate, and the exit answers in the middle of other things.
  moved.send(pair.at, initiationFor(exitKey, 77));
  assertEquals(pair.exit.receive(1), [initiationFor(exitKey, 77)]);
  const data = batch(TO_CLIENT, Array<number>(5).fill(1452));
  pair.exit.sendBatch(pair.at, [...data, responseFor(clientKey, 88, 77)]);
  assertEquals(pair.client.receive(5), data);
  assertEquals(moved.receive(1), [responseFor(clientKey, 88, 77)]);
  moved.send(pair.at, dataFor(88));
  assertEquals(pair.exit.receive(1), [dataFor(88)]);
  assertEquals((await pair.relay.counts())[0]!.clientAt?.port, moved.socket.port);

  // In the middle of a batch of datagrams just as long.
  using again = pair.stranger();
  again.sendBatch(pair.at, [...batch(1, [148, 148]), initiationFor(exitKey, 99), ...batch(1, [148])]);
  assertEquals(pair.exit.receive(1), [initiationFor(exitKey, 99)]);
});

Deno.test("all of the first batch behind a response goes on, though its first datagram is what makes the place known", async () => {
  await using pair = await RelayedPair.open();
  using moved = pair.stranger();
  moved.send(pair.at, initiationFor(exitKey, 77));
  pair.exit.receive(1);
  pair.exit.send(pair.at, responseFor(clientKey, 88, 77));
  moved.receive(1);
  const sizes = Array<number>(30).fill(1452);
  moved.sendBatch(pair.at, batch(88, sizes));
  assertEquals(pair.exit.receive(30), batch(88, sizes));
});

Deno.test("the bits for congestion and the class of traffic go on with the datagrams, of both families", async () => {
  for (const [isV6, address] of [[false, "127.0.0.1"], [true, "::1"]] as const) {
    await using pair = await RelayedPair.open();
    using watching = new BatchSocket(pair.libc, isV6);
    await pair.relay.place("s", "exit", { address: parseIp(address)!, port: watching.socket.port });
    const inbox = new Inbox(pair.libc, isV6);
    const [level, option] = isV6 ? [IPPROTO_IPV6, IPV6_RECVTCLASS] : [IPPROTO_IP, IP_RECVTOS];
    assert(new UdpOpener(pair.libc).set(watching.socket.fd, level, option, 1));
    for (const tos of [0, 1, 2, 3, 0x88, 0]) {
      pair.client.sendBatch(pair.at, batch(TO_EXIT, [500, 500, 400]), tos);
      watching.wait();
      assertEquals(inbox.receive(watching.socket.fd, 1), 1);
      assertEquals([inbox.length(0), inbox.segmentBytes(0), inbox.tos(0)], [1400, 500, tos], `${address}, ${tos}`);
    }
  }
});

Deno.test("a side is answered from the address of ours that it writes to", async () => {
  await using pair = await RelayedPair.open();
  const other = { address: Uint8Array.of(127, 0, 0, 2), port: pair.port };
  using moved = pair.stranger();
  moved.send(other, initiationFor(exitKey, 77));
  pair.exit.receive(1);
  pair.exit.send(pair.at, responseFor(clientKey, 88, 77));
  moved.receive(1);
  assertEquals(moved.socket.source().address, other.address);
  moved.send(other, dataFor(88));
  pair.exit.receive(1);
  pair.exit.sendBatch(pair.at, batch(77, [900, 900]));
  assertEquals(moved.receive(2), batch(77, [900, 900]));
  assertEquals(moved.socket.source().address, other.address);
  // It now writes to another one, which a handshake shows.
  moved.send(pair.at, initiationFor(exitKey, 78));
  pair.exit.receive(1);
  pair.exit.send(pair.at, dataFor(77));
  moved.receive(1);
  assertEquals(moved.socket.source().address, pair.at.address);
});

Deno.test("every byte between the sides is counted", async () => {
  await using pair = await RelayedPair.open();
  const [before] = await pair.relay.counts();
  pair.client.sendBatch(pair.at, batch(TO_EXIT, Array<number>(10).fill(1000)));
  pair.exit.receive(10);
  pair.exit.send(pair.at, dataFor(TO_CLIENT, { bytes: 333 }));
  pair.client.receive(1);
  const [after] = await pair.relay.counts();
  assertEquals(after!.toExitBytes - before!.toExitBytes, 10_000);
  assertEquals(after!.toClientBytes - before!.toClientBytes, 333);
  assertEquals(after!.droppedDatagrams, before!.droppedDatagrams);
  assertGreater(after!.port, 0);
});
