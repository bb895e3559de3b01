import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { parseIp } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import { SysError } from "./errno.ts";
import { type Libc, openLibc } from "./libc.ts";
import { PollSet } from "./poll.ts";
import { UdpPort } from "./udp.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import { UDP_RECEIVE_BYTES, type UdpSocket } from "./udp_socket.ts";

const WAIT_MS = 5_000;

function endpoint(address: string, port: number): Endpoint {
  return { address: parseIp(address)!, port };
}

/** Bytes that tell where they belong. */
function fill(slab: Slab, offset: number, length: number): void {
  for (let at = 0; at < length; at++) slab.bytes[offset + at] = at * 7 + (at >> 8);
}

/** Receives until `bytes` have come; gives the sizes of the datagrams, their bytes are put behind one another. */
function receiveAll(libc: Libc, socket: UdpSocket, bytes: number): { sizes: number[]; content: Uint8Array } {
  const poll = new PollSet(libc);
  poll.add(socket.fd);
  const slab = new Slab(UDP_RECEIVE_BYTES), content = new Uint8Array(bytes), sizes: number[] = [];
  let got = 0;
  while (got < bytes) {
    if (poll.wait(WAIT_MS) === 0) throw new Error(`Cannot receive ${bytes} bytes: only ${got} came`);
    const length = socket.receive(slab, 0);
    if (length < 0) continue;
    for (let at = 0; at < length; at += socket.segmentBytes) sizes.push(Math.min(socket.segmentBytes, length - at));
    content.set(slab.bytes.subarray(0, length), got);
    got += length;
  }
  return { sizes, content };
}

for (const [family, address] of [["IPv4", "127.0.0.1"], ["IPv6", "::1"]] as const) {
  for (const offload of [true, false]) {
    const how = `over ${family} ${offload ? "with" : "without"} offload`;

    Deno.test(`a batch ${how} arrives as the datagrams it was made of`, () => {
      using libc = openLibc();
      using near = new UdpPort(libc, { offload }), far = new UdpPort(libc, { offload });
      const farSocket = (family === "IPv6" ? far.v6 : far.v4)!;
      const slab = new Slab(200_000);
      fill(slab, 3, 100_000);
      assert(near.send(slab, 3, 100_000, 1_452, endpoint(address, far.port)));
      const { sizes, content } = receiveAll(libc, farSocket, 100_000);
      assertEquals(content, slab.bytes.slice(3, 100_003));
      assertEquals(sizes, [...new Array(68).fill(1_452), 100_000 - 68 * 1_452]);
      const sender = (family === "IPv6" ? near.v6 : near.v4)!.sender;
      assertEquals(sender.counters, { sentDatagrams: 69, sentBytes: 100_000, refusedDatagrams: 0 });
      assertEquals(farSocket.counters, { receivedDatagrams: 69, receivedBytes: 100_000 });
    });
  }
}
