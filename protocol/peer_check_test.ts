import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "./errors.ts";
import { parseIp } from "./ip.ts";
import { PeerCheck } from "./peer_check.ts";

const peer = { host: "192.0.2.1", ports: { first: 1000, count: 8 } };

const sources = [
  { name: "its first port", host: "192.0.2.1", port: 1000, expected: true },
  { name: "its last port", host: "192.0.2.1", port: 1007, expected: true },
  { name: "the port before", host: "192.0.2.1", port: 999, expected: false },
  { name: "the port behind", host: "192.0.2.1", port: 1008, expected: false },
  { name: "another host", host: "192.0.2.2", port: 1000, expected: false },
  { name: "another family", host: "2001:db8::1", port: 1000, expected: false },
];

for (const { name, host, port, expected } of sources) {
  Deno.test(`a packet is from the peer, or not: ${name}`, () => {
    assertEquals(new PeerCheck(peer).accepts(parseIp(host)!, port), expected);
    assertEquals(new PeerCheck(undefined).accepts(parseIp(host)!, port), true);
  });
}

Deno.test("a peer that is a name is refused", () => {
  assertThrows(() => new PeerCheck({ host: "example.test", ports: 1 }), CulvertError, "must be an IP address");
});
