/**
 * What packet surgery costs: 47 segments of 1,368 bytes of payload, cut from one read and joined for one write, beside the
 * sums alone. Per packet, divide by 47. `deno bench -A protocol/packet/packet_bench.ts`
 */

import { sumBytes } from "./checksum.ts";
import { Coalescer } from "./coalesce.ts";
import { makeOffloaded } from "./fixtures/packets.ts";
import { PacketSlab } from "./packet_slab.ts";
import { Segmenter } from "./segment.ts";

const SEGMENT_BYTES = 1368;
const SEGMENTS = 47;
const READ_AT = 6;
const OUT = 128 * 1024;

const slab = new PacketSlab(512 * 1024);
const layout = { lead: 16, tail: 16, padding: 16, mtu: 1420 };
const segmenter = new Segmenter(slab, layout);
const payload = Uint8Array.from({ length: SEGMENTS * SEGMENT_BYTES }, (_, at) => at * 31 >> 3);
const tcpOptions = Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8);
const read = makeOffloaded({ version: 4, protocol: "tcp", payload, tcpOptions }, SEGMENT_BYTES);

function segment(): void {
  segmenter.begin(READ_AT, read.length);
  while (segmenter.next(OUT, 64, 72_000) > 0);
}

const readCopy = read.slice();
Deno.bench("segment one read into 47 packets", { group: "batch", baseline: true }, () => {
  // Splitting changes the headers of the source; put back, so that every run has the same to do.
  slab.bytes.set(readCopy.subarray(0, 62), READ_AT);
  segment();
});

const joinSlab = new PacketSlab(512 * 1024);
let pieces = 0;
const coalescer = new Coalescer(joinSlab, { sink: { write: (joined) => void (pieces += joined.count) } });
slab.bytes.set(read, READ_AT);
segmenter.begin(READ_AT, read.length);
segmenter.next(OUT, 64, 72_000);
const { stride } = segmenter;
joinSlab.bytes.set(slab.bytes);
const firstHeader = slab.bytes.slice(OUT + 16, OUT + 16 + 52);

Deno.bench("join 47 packets for one write, checksums verified", { group: "batch" }, () => {
  joinSlab.bytes.set(firstHeader, OUT + 16);
  for (let index = 0; index < SEGMENTS; index++) coalescer.add(OUT + index * stride + 16, 1420);
  coalescer.flush();
});

Deno.bench("sum 1,420 bytes", { group: "sums", baseline: true }, () => void slab.sum(OUT, 1420));
Deno.bench("copy and sum 1,420 bytes", { group: "sums" }, () => void slab.copySum(OUT, 4096, 1420));
Deno.bench(
  "copy 1,420 bytes by copyWithin",
  { group: "sums" },
  () => void slab.bytes.copyWithin(OUT, 4096, 4096 + 1420),
);
Deno.bench("sum 1,420 bytes, the readable twin", { group: "sums" }, () => void sumBytes(slab.bytes, OUT, 1420));
