/**
 * What a packet costs in `Kcp` alone: two sessions that hand each other full segments in memory, with no clock, seal or
 * carrier. `deno run -A protocol/kcp/kcp_bench.ts [--loss 0.01]`. One packet is: filled, sent, received, delivered,
 * acknowledged in batches of 32, and its ACK received.
 */

import { parseArgs } from "@std/cli/parse-args";
import { Slab } from "../slab.ts";
import { Kcp } from "./kcp.ts";
import { type KcpEvents, kcpModes } from "./kcp_options.ts";

const BATCH = 32;
const PACKETS = 2_000_000;
const STRIDE = 2048;
const { loss = "0" } = parseArgs(Deno.args);
const lossShare = Number(loss);

const options = { ...kcpModes.fast3, conv: 1, mtuBytes: 1350, sendWindow: 2048, receiveWindow: 2048 };
let delivered = 0;
const sink: KcpEvents = { fill: () => 0, onBytes: (bytes) => void (delivered += bytes.length), wantsBytes: () => true };
const source: KcpEvents = { ...sink, fill: (into) => into.length };
let nowMs = 0;
const near = new Kcp(options, source, nowMs);
const far = new Kcp(options, sink, nowMs);
const slab = new Slab(BATCH * STRIDE);
const lengths: number[] = [];

/** Hands over one batch; gives how many went. */
function hand(from: Kcp, to: Kcp): number {
  let count = 0;
  for (; count < BATCH; count++) {
    const length = from.pull(slab, count * STRIDE, 1350, nowMs);
    if (length === 0) break;
    lengths[count] = length;
  }
  for (let index = 0; index < count; index++) {
    if (lossShare > 0 && Math.random() < lossShare) continue;
    to.receive(slab, index * STRIDE, index * STRIDE + lengths[index]!, nowMs);
  }
  return count;
}

function run(packets: number): number {
  const before = performance.now();
  near.wake();
  for (let sent = 0; sent < packets;) {
    const went = hand(near, far);
    sent += went;
    while (hand(far, near) > 0);
    nowMs += 0.3;
    if (nowMs >= near.nextTickMs) near.tick(nowMs);
    if (nowMs >= far.nextTickMs) far.tick(nowMs);
  }
  return performance.now() - before;
}

run(PACKETS / 10);
delivered = 0;
const tookMs = run(PACKETS);
console.log(`${(tookMs * 1e6 / PACKETS).toFixed(0)} ns a packet, both ends together`);
console.log(`${(delivered * 8 / tookMs / 1e6).toFixed(2)} Gbit/s`, near.counters);
