/** The filters, run by a small reader of their instructions; `native/packets/` has the kernel run them. */

import { assertEquals } from "@std/assert";
import { dropAll, INSTRUCTION_BYTES, tcpFilter } from "./bpf.ts";
import { parseIp } from "./ip.ts";
import { PacketSlab } from "./packet/packet_slab.ts";
import { tcpLook } from "./tcp_look/look.ts";
import { SeededRandom } from "../testing/seeded_random.ts";

const [OURS, THEIRS, OTHER] = [parseIp("192.0.2.1")!, parseIp("192.0.2.2")!, parseIp("192.0.2.3")!];
const [OURS_V6, THEIRS_V6, OTHER_V6] = [parseIp("2001:db8::1")!, parseIp("2001:db8::2")!, parseIp("2001:db8::12")!];
const ports = { first: 45_000, count: 8 };

const families = [
  { name: "IPv4", isV6: false, ours: OURS, theirs: THEIRS, other: OTHER },
  { name: "IPv6", isV6: true, ours: OURS_V6, theirs: THEIRS_V6, other: OTHER_V6 },
];

for (const { name, isV6, ours, theirs, other } of families) {
  const packet = (from = theirs, to = ours, sourcePort = 40_000, destinationPort = 45_003) => {
    const ends = { source: from, sourcePort, destination: to, destinationPort };
    const slab = new PacketSlab(65_536);
    const look = tcpLook("ours", { side: "client", random: new SeededRandom(1), unixMs: 0 });
    const start = look.flow(ends).wrap(slab, 128, 140, 0);
    return slab.bytes.slice(start, 140);
  };
  const changed = (at: number, value: number) => {
    const bytes = packet();
    bytes[at] = value;
    return bytes;
  };

  Deno.test(`${name}: a filter takes TCP to our ports, and nothing else`, () => {
    const filter = tcpFilter({ isV6, ports });
    assertEquals(takes(filter, packet()), true);
    assertEquals(takes(filter, packet(other, theirs)), true);
    for (const [port, expected] of [[44_999, false], [45_000, true], [45_007, true], [45_008, false]] as const) {
      assertEquals(takes(filter, packet(theirs, ours, 1, port)), expected, `${port}`);
    }
    assertEquals(takes(filter, changed(isV6 ? 6 : 9, 17)), false, "UDP");
    assertEquals(takes(filter, packet().slice(0, 22)), false, "cut short");
    if (!isV6) assertEquals(takes(filter, changed(7, 1)), false, "a fragment");
  });

  Deno.test(`${name}: a filter with one port, our address and a peer takes only what is from there to here`, () => {
    const from = { address: theirs, ports: { first: 40_000, count: 1 } };
    const filter = tcpFilter({ isV6, ports: { first: 45_003, count: 1 }, address: ours, from });
    assertEquals(takes(filter, packet()), true);
    assertEquals(takes(filter, packet(other)), false, "another host");
    assertEquals(takes(filter, packet(theirs, other)), false, "to another address");
    assertEquals(takes(filter, packet(theirs, ours, 40_001)), false, "another port");
    assertEquals(takes(filter, packet(theirs, ours, 40_000, 45_004)), false, "to another port");
    const everywhere = tcpFilter({ isV6, ports, address: new Uint8Array(ours.length) });
    assertEquals(takes(everywhere, packet(theirs, other)), true, "any address");
  });
}

Deno.test("IPv4 options do not hide the ports", () => {
  const slab = new PacketSlab(65_536);
  const ends = { source: THEIRS, sourcePort: 1, destination: OURS, destinationPort: 45_003 };
  const look = tcpLook("gfk-go", { side: "client", random: new SeededRandom(1), unixMs: 0 });
  const plain = slab.bytes.slice(look.flow(ends).wrap(slab, 128, 140, 0), 140);
  const withOptions = Uint8Array.from([0x46, ...plain.slice(1, 20), 1, 1, 1, 1, ...plain.slice(20)]);
  assertEquals(takes(tcpFilter({ isV6: false, ports }), withOptions), true);
});

Deno.test("a filter that takes nothing takes nothing", () => {
  assertEquals(takes(dropAll(), Uint8Array.of(1)), false);
});

/** Whether a program of the instructions used here takes a packet that begins with its network header. */
function takes(program: Uint8Array<ArrayBuffer>, packet: Uint8Array<ArrayBuffer>): boolean {
  const code = new DataView(program.buffer, program.byteOffset, program.length);
  const data = new DataView(packet.buffer, packet.byteOffset, packet.length);
  let a = 0, x = 0;
  for (let pc = 0; pc < program.length / INSTRUCTION_BYTES; pc++) {
    const at = pc * INSTRUCTION_BYTES;
    const operation = code.getUint16(at, true), operand = code.getUint32(at + 4, true);
    const offset = operand - 0xfff00000;
    const jump = (holds: boolean) => pc += code.getUint8(at + (holds ? 2 : 3));
    try {
      if (operation === 0x20) a = data.getUint32(offset);
      else if (operation === 0x28) a = data.getUint16(offset);
      else if (operation === 0x30) a = data.getUint8(offset);
      else if (operation === 0x48) a = data.getUint16(x + offset);
      else if (operation === 0xb1) x = (data.getUint8(offset) & 15) * 4;
      else if (operation === 0x15) jump(a === operand);
      else if (operation === 0x25) jump(a > operand);
      else if (operation === 0x35) jump(a >= operand);
      else if (operation === 0x45) jump((a & operand) !== 0);
      else if (operation === 0x06) return operand > 0;
      else throw new Error(`unknown operation ${operation}`);
    } catch (error) {
      // The kernel drops a packet that a load goes beyond.
      if (error instanceof RangeError) return false;
      throw error;
    }
  }
  throw new Error("a program must end with a return");
}
