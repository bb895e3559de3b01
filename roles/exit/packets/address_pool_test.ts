import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../../protocol/errors.ts";
import { contains, formatIp, parseCidr, parseIp } from "../../../protocol/ip.ts";
import { AddressPool } from "./address_pool.ts";

const poolOf = (network: string) => new AddressPool(parseCidr(network)!);
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const KEY = new Uint8Array(32);

for (
  const [network, gateway, first] of [
    ["10.201.0.0/16", "10.201.0.1", "10.201.0.2"],
    ["10.7.7.8/29", "10.7.7.9", "10.7.7.10"],
    ["fd12:3456:789a:1::/64", "fd12:3456:789a:1::1", "fd12:3456:789a:1::2"],
  ] as const
) {
  Deno.test(`${network}: its gateway is the first address, and clients come after it`, () => {
    const pool = poolOf(network);
    assertEquals(formatIp(pool.gateway), gateway);
    assertEquals(formatIp(pool.take(KEY)!), first);
  });
}

Deno.test("a pool gives out every address once, and then none", () => {
  const pool = poolOf("10.7.7.8/29");
  const taken = Array.from({ length: 5 }, () => formatIp(pool.take(KEY)!));
  assertEquals(taken.toSorted(), ["10.7.7.10", "10.7.7.11", "10.7.7.12", "10.7.7.13", "10.7.7.14"]);
  assertEquals([pool.take(KEY), pool.spare], [undefined, 0]);
  pool.release(parseIp("10.7.7.12")!, KEY);
  assertEquals([pool.spare, formatIp(pool.take(KEY)!)], [1, "10.7.7.12"]);
});

Deno.test("a client's address follows from its key", () => {
  fc.assert(fc.property(key, (key) => {
    assertEquals(poolOf("10.201.0.0/16").take(key), poolOf("10.201.0.0/16").take(key));
  }));
});

for (
  const [name, network, wish, isGranted] of [
    ["free and in the pool", "10.201.0.0/16", "10.201.7.9", true],
    ["the last one", "10.201.0.0/16", "10.201.255.254", true],
    ["free, far out in a large pool", "fd00:1::/64", "fd00:1::1234:5678:9abc:def0", true],
    ["of another network", "10.201.0.0/16", "10.202.7.9", false],
    ["of the other family", "10.201.0.0/16", "fd00:1::7", false],
    ["the network itself", "10.201.0.0/16", "10.201.0.0", false],
    ["the gateway", "10.201.0.0/16", "10.201.0.1", false],
    ["the gateway of v6", "fd00:1::/64", "fd00:1::1", false],
    ["broadcast", "10.201.0.0/16", "10.201.255.255", false],
  ] as const
) {
  Deno.test(`a wished address is ${isGranted ? "granted" : "passed over"}: ${name}`, () => {
    assertEquals(formatIp(poolOf(network).take(KEY, parseIp(wish)!)!) === wish, isGranted);
  });
}

Deno.test("an address that was given back is nobody else's for a while, and comes back to who had it", () => {
  const pool = poolOf("10.7.7.0/28");
  const [mine, other] = [parseIp("10.7.7.9")!, new Uint8Array(32).fill(255)];
  assertEquals(pool.take(KEY, mine), mine);
  pool.release(mine, KEY);
  for (let client = 1; client <= 12; client++) assert(formatIp(pool.take(other, mine)!) !== "10.7.7.9");
  assertEquals(pool.take(KEY), mine);
  pool.release(mine, KEY);
  assertEquals(pool.take(other, mine), mine, "there is no other left");
});

Deno.test("who had an address is forgotten once many more were given back", () => {
  const pool = poolOf("10.201.0.0/16");
  const address = (number: number) => parseIp(`10.201.${number >> 8}.${number & 255}`)!;
  const other = new Uint8Array(32).fill(255);
  for (let number = 256; number <= 256 + 1024; number++) pool.release(pool.take(KEY, address(number))!, KEY);
  assertEquals(pool.take(other, address(256)), address(256));
  assert(formatIp(pool.take(other, address(257))!) !== "10.201.1.1");
});

Deno.test("no two have one address, whatever they wish for and give back", () => {
  const step = fc.record({ key, wish: fc.option(fc.nat(40), { nil: undefined }), gives: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const pool = poolOf("10.7.7.0/28");
    const taken: string[] = [];
    for (const { key, wish, gives } of steps) {
      if (gives && taken.length > 0) pool.release(parseIp(taken.shift()!)!, key);
      const address = pool.take(key, wish === undefined ? undefined : parseIp(`10.7.7.${wish}`)!);
      assertEquals(address === undefined, taken.length === 13);
      if (!address) continue;
      assert(contains(pool.network, address));
      assert(![0, 1, 15].includes(address[3]!));
      assert(!taken.includes(formatIp(address)));
      taken.push(formatIp(address));
      assertEquals(pool.spare, 13 - taken.length);
    }
  }));
});

for (const network of ["10.0.0.0/7", "10.7.7.8/30", "fd00::/31", "fd00::/121"]) {
  Deno.test(`a pool of ${network} is refused`, () => {
    assertThrows(() => poolOf(network), CulvertError, "its prefix must be");
  });
}
