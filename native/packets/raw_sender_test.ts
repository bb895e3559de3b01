/** What a sender does when there is no room, seen by a kernel that is made up. */

import { assertEquals } from "@std/assert";
import { Slab } from "../../protocol/slab.ts";
import { Errno } from "../errno.ts";
import type { Libc } from "../libc.ts";
import { RawSender } from "./raw_sender.ts";

class FullKernel {
  hasRoom = false;
  readonly waitedMs: number[] = [];
  readonly call = {
    sendmmsg: (_fd: number, _messages: unknown, count: number) => this.hasRoom ? count : -1,
    poll: (_entries: unknown, _count: bigint, timeoutMs: number) => {
      this.waitedMs.push(timeoutMs);
      return this.hasRoom ? 1 : 0;
    },
  };

  errno(): number {
    return Errno.EAGAIN;
  }
}

Deno.test("a full send buffer holds the thread up once, and again only after there was room", () => {
  const kernel = new FullKernel();
  const sender = new RawSender(kernel as unknown as Libc, 3, { onTooLong() {} });
  const slab = new Slab(64), name = new Uint32Array(4);
  const send = (packets: number) => {
    for (let packet = 0; packet < packets; packet++) sender.queue(slab, 0, 64, 1, name, 16);
    sender.flush();
  };
  for (let turn = 0; turn < 5; turn++) send(200);
  assertEquals([sender.sentPackets, sender.lostPackets], [0, 1000]);
  assertEquals(kernel.waitedMs.reduce((sum, waited) => sum + waited, 0), 5);
  kernel.hasRoom = true;
  send(10);
  assertEquals([sender.sentPackets, sender.lostPackets], [10, 1000]);
});
