import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { parseIp } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import { EndpointTable, UdpEndpoint } from "./udp_endpoint.ts";

function endpoint(address: string, port: number, scopeId?: number): UdpEndpoint {
  return UdpEndpoint.from({ address: parseIp(address)!, port, ...scopeId === undefined ? {} : { scopeId } });
}

const cases = [
  { name: "IPv4", address: "192.0.2.1", port: 51_820, scopeId: undefined, isV6: false },
  { name: "IPv6", address: "2001:db8::1", port: 1, scopeId: undefined, isV6: true },
  { name: "link-local IPv6", address: "fe80::1", port: 65_535, scopeId: 7, isV6: true },
];

for (const { name, address, port, scopeId, isV6 } of cases) {
  Deno.test(`an ${name} endpoint keeps its address, port and scope in the words of the kernel`, () => {
    const made = endpoint(address, port, scopeId);
    assertEquals([made.address, made.port, made.scopeId, made.isV6], [parseIp(address)!, port, scopeId, isV6]);
    const again = new UdpEndpoint(made.words.slice());
    assertEquals([again.address, again.port, again.scopeId], [made.address, port, scopeId]);
    assert(!made.hasOurAddress);
  });

  Deno.test(`the same ${name} source is the same object, until the source or our address differs`, () => {
    const table = new EndpointTable(isV6), message = new Slab(128), oursAt = 16;
    const put = (from: UdpEndpoint) => from.words.subarray(0, from.nameWords).forEach((w, at) => message.words[at] = w);
    put(endpoint(address, port, scopeId));
    message.words[oursAt] = 0x0100007f;
    const first = table.find(message, 0, oursAt);
    assert(first.hasOurAddress);
    assertEquals([first.address, first.port, first.scopeId], [parseIp(address)!, port, scopeId]);
    put(endpoint(address, port ^ 1, scopeId));
    const other = table.find(message, 0, oursAt);
    assertEquals(other.port, port ^ 1);
    put(endpoint(address, port, scopeId));
    assertStrictEquals(table.find(message, 0, oursAt), first);
    message.words[oursAt] = 0x0200007f;
    assertNotStrictEquals(table.find(message, 0, oursAt), first);
  });
}

Deno.test("an IPv4 address in IPv6 clothes is an IPv4 address", () => {
  const made = endpoint("::ffff:192.0.2.1", 9);
  assertEquals([made.isV6, made.address, made.port], [false, parseIp("192.0.2.1")!, 9]);
});

Deno.test("an address of ours can be forgotten, which leaves the peer's", () => {
  const made = endpoint("192.0.2.1", 9);
  made.words[made.nameWords] = 1;
  assert(made.hasOurAddress);
  made.forgetOurAddress();
  assert(!made.hasOurAddress);
  assertEquals(made.words.slice(0, made.nameWords), endpoint("192.0.2.1", 9).words.slice(0, made.nameWords));
});

Deno.test("more sources than the table has room for are told apart all the same", () => {
  const table = new EndpointTable(false), message = new Slab(16);
  for (let source = 0; source < 40_000; source++) {
    message.bytes.set([2, 0, source >> 8, source, 10, 0, source % 3, 1]);
    const found = table.find(message, 0, -1);
    assertEquals([found.port, found.address[2]], [source, source % 3]);
  }
});
