import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes } from "../../testing/fuzz.ts";
import { parseCidr, parseIp } from "../ip.ts";
import { AllowedIps } from "./allowed_ips.ts";
import { ipPacket } from "./fixtures/machine_network.ts";
import { destinationOf, innerLengthOf, sourceOf } from "./inner_packet.ts";

interface Owner {
  readonly name: string;
}

const pairs = [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]].map((texts) => texts.map((text) => parseIp(text)!));

function ownersOfPairs(): AllowedIps<Owner> {
  const owners = new AllowedIps<Owner>();
  for (const text of ["10.0.0.1", "fd00::1"]) owners.insert(parseCidr(text)!, { name: "source" });
  for (const text of ["10.0.0.2", "fd00::2"]) owners.insert(parseCidr(text)!, { name: "destination" });
  return owners;
}

Deno.test("a packet says how long it is, whose it is and whose it will be, at any offset", () => {
  const owners = ownersOfPairs();
  for (const [source, destination] of pairs) {
    const packet = ipPacket(source!, destination!, 1, 50);
    for (const offset of [0, 1, 16]) {
      const bytes = new Uint8Array(offset + packet.length + 16);
      bytes.set(packet, offset);
      assertEquals(innerLengthOf(bytes, offset, packet.length + 15), packet.length);
      assertEquals(innerLengthOf(bytes, offset, packet.length), packet.length);
      assertEquals(innerLengthOf(bytes, offset, packet.length - 1), 0);
      assertEquals(sourceOf(owners, bytes, offset)?.name, "source");
      assertEquals(destinationOf(owners, bytes, offset, packet.length)?.name, "destination");
    }
  }
});

Deno.test("of any bytes, only those that are there decide", () => {
  const owners = ownersOfPairs();
  fc.assert(
    fc.property(anyBytes(100), fc.nat({ max: 60 }), fc.integer({ min: 0, max: 255 }), (bytes, cut, filling) => {
      const available = Math.max(0, bytes.length - cut);
      const other = bytes.map((byte, at) => at < available ? byte : filling);
      const length = innerLengthOf(bytes, 0, available);
      assertEquals(length === 0 || (length >= 20 && length <= available), true);
      assertEquals(innerLengthOf(other, 0, available), length);
      assertEquals(destinationOf(owners, other, 0, available), destinationOf(owners, bytes, 0, available));
      if (length > 0) assertEquals(sourceOf(owners, other, 0), sourceOf(owners, bytes, 0));
    }),
    { numRuns: 2000 },
  );
});
