import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import * as fc from "fast-check";
import { withSeed } from "../../testing/seeded_random.ts";
import { type Cidr, formatCidr, networkOf, parseCidr, parseIp } from "../ip.ts";
import { type Random, randomInt } from "../random.ts";
import { AllowedIps } from "./allowed_ips.ts";
import { heapOf } from "./fixtures/heap.ts";

interface Peer {
  readonly name: string;
}

function cidr(text: string): Cidr {
  return parseCidr(text)!;
}

function lookup(table: AllowedIps<Peer>, text: string): string | undefined {
  const address = parseIp(text)!;
  return table.lookup(address, 0, address.length as 4 | 16)?.name;
}

function routesOf(table: AllowedIps<Peer>, peer: Peer): string[] {
  return [...table.of(peer)].map(formatCidr);
}

const peers = new Map([..."abcdefgh"].map((name) => [name, { name }]));

function peer(name: string): Peer {
  return peers.get(name)!;
}

// Routes and questions of drivers/net/wireguard/selftest/allowedips.c in Linux.
const routes: [owner: string, network: string][] = [
  ["a", "192.168.4.0/24"],
  ["b", "192.168.4.4/32"],
  ["c", "192.168.0.0/16"],
  ["d", "192.95.5.64/27"],
  ["c", "192.95.5.65/27"],
  ["d", "2607:5300:6000:6b00::c05f:543/128"],
  ["c", "2607:5300:6000:6b00::/64"],
  ["e", "0.0.0.0/0"],
  ["e", "::/0"],
  ["f", "::/0"],
  ["g", "2404:6800::/32"],
  ["h", "2404:6800:4004:800:dead:beef:dead:beef/64"],
  ["a", "2404:6800:4004:800:dead:beef:dead:beef/128"],
  ["c", "2444:6800:40e4:800:deae:beef:def:beef/128"],
  ["b", "2444:6800:f0e4:800:eeae:beef::/98"],
  ["g", "64.15.112.0/20"],
  ["h", "64.15.123.211/25"],
  ["a", "10.0.0.0/25"],
  ["b", "10.0.0.128/25"],
  ["a", "10.1.0.0/30"],
  ["b", "10.1.0.4/30"],
  ["c", "10.1.0.8/29"],
  ["d", "10.1.0.16/29"],
];

const questions: [owner: string, address: string][] = [
  ["a", "192.168.4.20"],
  ["a", "192.168.4.0"],
  ["b", "192.168.4.4"],
  ["c", "192.168.200.182"],
  ["c", "192.95.5.68"],
  ["e", "192.95.5.96"],
  ["d", "2607:5300:6000:6b00::c05f:543"],
  ["c", "2607:5300:6000:6b00::c02e:1ee"],
  ["f", "2607:5300:6000:6b01::"],
  ["g", "2404:6800:4004:806::1006"],
  ["g", "2404:6800:4004:806:0:1234:0:5678"],
  ["f", "2404:67ff:4004:806:0:1234:0:5678"],
  ["f", "2404:6801:4004:806:0:1234:0:5678"],
  ["h", "2404:6800:4004:800:0:1234:0:5678"],
  ["h", "2404:6800:4004:800::"],
  ["h", "2404:6800:4004:800:1010:1010:1010:1010"],
  ["a", "2404:6800:4004:800:dead:beef:dead:beef"],
  ["g", "64.15.116.26"],
  ["g", "64.15.127.3"],
  ["g", "64.15.123.1"],
  ["h", "64.15.123.128"],
  ["h", "64.15.123.129"],
  ["a", "10.0.0.52"],
  ["b", "10.0.0.220"],
  ["a", "10.1.0.2"],
  ["b", "10.1.0.6"],
  ["c", "10.1.0.10"],
  ["d", "10.1.0.20"],
];

Deno.test("the longest prefix decides, as in the kernel's self-test", () => {
  const table = new AllowedIps<Peer>();
  for (const [owner, network] of routes) table.insert(cidr(network), peer(owner));
  for (const [owner, address] of questions) assertEquals(lookup(table, address), owner, address);
});

Deno.test("a removed peer answers nowhere any more, whatever lay above its routes", () => {
  const table = new AllowedIps<Peer>();
  for (const network of ["1.0.0.0/32", "64.0.0.0/32", "128.0.0.0/32", "192.0.0.0/32", "255.0.0.0/32"]) {
    table.insert(cidr(network), peer("a"));
  }
  for (const network of ["192.168.0.0/16", "192.168.0.0/24"]) table.insert(cidr(network), peer("a"));
  table.insert(cidr("192.0.0.0/8"), peer("b"));
  table.removePeer(peer("a"));
  for (const address of ["1.0.0.0", "64.0.0.0", "128.0.0.0", "255.0.0.0"]) {
    assertEquals(lookup(table, address), undefined);
  }
  for (const address of ["192.0.0.0", "192.168.0.1"]) assertEquals(lookup(table, address), "b");
  assertEquals(routesOf(table, peer("a")), []);
});

Deno.test("a prefix moves to its new owner, and the old one's list forgets it", () => {
  const table = new AllowedIps<Peer>();
  for (const network of ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"]) table.insert(cidr(network), peer("a"));
  table.insert(cidr("10.0.0.0/8"), peer("b"));
  assertEquals(lookup(table, "10.2.0.0"), "b");
  assertEquals(routesOf(table, peer("a")), ["10.1.0.0/16", "fd00::/8"]);
  assertEquals(routesOf(table, peer("b")), ["10.0.0.0/8"]);
});

Deno.test("a peer's routes are listed oldest first, each once however often it was given", () => {
  const table = new AllowedIps<Peer>();
  const given = ["::/0", "0.0.0.0/0", "10.0.0.1/32", "2001:db8::/83", "10.0.0.0/31", "0.0.0.0/0", "::/0"];
  for (const network of given) table.insert(cidr(network), peer("a"));
  assertEquals(routesOf(table, peer("a")), given.slice(0, 5));
  table.remove(cidr("::/0"), peer("a"));
  assertEquals(routesOf(table, peer("a")), given.slice(1, 5));
});

Deno.test("removing takes only that prefix, and only from its owner", () => {
  const table = new AllowedIps<Peer>();
  table.insert(cidr("10.0.0.0/8"), peer("a"));
  table.insert(cidr("10.0.0.0/16"), peer("b"));
  for (const network of ["10.0.0.0/16", "10.0.0.0/9", "10.0.0.0/7", "10.0.0.0/32", "11.0.0.0/8", "a00::/8", "::/0"]) {
    table.remove(cidr(network), peer("a"));
  }
  assertEquals([lookup(table, "10.1.0.0"), lookup(table, "10.0.1.0")], ["a", "b"]);
  table.remove(cidr("10.0.0.0/8"), peer("a"));
  assertEquals([lookup(table, "10.1.0.0"), lookup(table, "10.0.1.0")], [undefined, "b"]);
});

Deno.test("an address is read where it lies in a packet", () => {
  const table = new AllowedIps<Peer>();
  table.insert(cidr("10.0.0.0/8"), peer("a"));
  table.insert(cidr("fd00::/8"), peer("b"));
  const packet = new Uint8Array(64).fill(0xff);
  packet.set(parseIp("10.9.8.7")!, 12);
  packet.set(parseIp("fdff::1")!, 31);
  assertStrictEquals(table.lookup(packet, 12, 4), peer("a"));
  assertStrictEquals(table.lookup(packet, 31, 16), peer("b"));
  assertEquals(table.lookup(packet, 11, 4), undefined);
});

Deno.test("prefixes that part at every one of 128 bits are all found again", () => {
  const table = new AllowedIps<Peer>();
  const addresses = Array.from({ length: 128 }, (_, bit) => {
    const address = new Uint8Array(16).fill(0xff);
    address[bit >> 3]! ^= 0x80 >> (bit & 7);
    return address;
  });
  for (const address of addresses) table.insert({ address, bits: 128 }, peer("a"));
  for (const address of addresses) assertStrictEquals(table.lookup(address, 0, 16), peer("a"));
  assertEquals(table.lookup(new Uint8Array(16).fill(0xff), 0, 16), undefined);
  table.removePeer(peer("a"));
  for (const address of addresses) assertEquals(table.lookup(address, 0, 16), undefined);
});

/** One map from a prefix's text to its owner; asks it for every length, longest first. */
class SlowTable {
  readonly #owners = new Map<string, Peer>();

  insert(cidr: Cidr, peer: Peer): void {
    this.#owners.set(formatCidr(cidr), peer);
  }

  remove(cidr: Cidr, peer: Peer): void {
    if (this.#owners.get(formatCidr(cidr)) === peer) this.#owners.delete(formatCidr(cidr));
  }

  removePeer(peer: Peer): void {
    for (const [network, owner] of this.#owners) if (owner === peer) this.#owners.delete(network);
  }

  lookup(address: Uint8Array<ArrayBuffer>): Peer | undefined {
    for (let bits = address.length * 8; bits >= 0; bits--) {
      const owner = this.#owners.get(formatCidr(networkOf(address, bits)!));
      if (owner) return owner;
    }
    return undefined;
  }

  of(peer: Peer): string[] {
    return [...this.#owners].filter(([, owner]) => owner === peer).map(([network]) => network);
  }
}

const fewAddresses = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4, max: 3 }),
  fc.uint8Array({ minLength: 16, maxLength: 16, max: 1 }),
).map((bytes) => bytes.slice());

Deno.test("the trie agrees with a slow table after any few changes", () => {
  const change = fc.record({
    kind: fc.constantFrom("insert", "insert", "insert", "remove", "removePeer"),
    address: fewAddresses,
    share: fc.nat(16),
    owner: fc.constantFrom("a", "b", "c"),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.array(fewAddresses, { maxLength: 10 }), (changes, asked) => {
      const table = new AllowedIps<Peer>();
      const slow = new SlowTable();
      for (const { kind, address, share, owner } of changes) {
        const network = networkOf(address, share * address.length / 2)!;
        for (const either of [table, slow]) {
          if (kind === "insert") either.insert(network, peer(owner));
          else if (kind === "remove") either.remove(network, peer(owner));
          else either.removePeer(peer(owner));
        }
      }
      for (const address of [...asked, ...changes.map((change) => change.address)]) {
        assertEquals(table.lookup(address, 0, address.length as 4 | 16), slow.lookup(address));
      }
      for (const name of "abc") assertEquals(routesOf(table, peer(name)).sort(), slow.of(peer(name)).sort());
    }),
    { numRuns: 500 },
  );
});

/** A network, and others that share a random part of its start. */
function similarNetworks(random: Random, length: 4 | 16, count: number): Cidr[] {
  const first = random.fill(new Uint8Array(length));
  return Array.from({ length: count }, (_, index) => {
    const other = random.fill(new Uint8Array(length));
    const kept = index === 0 ? length * 8 : randomInt(random, length * 8);
    for (let bit = 0; bit < kept; bit++) {
      const mask = 0x80 >> (bit & 7);
      other[bit >> 3] = (other[bit >> 3]! & ~mask) | (first[bit >> 3]! & mask);
    }
    return networkOf(other, 1 + randomInt(random, length * 8))!;
  });
}

for (const length of [4, 16] as const) {
  Deno.test(`the trie agrees with a slow table on 40,000 networks of 2,000 peers, ${length} bytes`, async () => {
    await withSeed(20260101 + length, (random) => {
      const peers = Array.from({ length: 2000 }, (_, index) => ({ name: `${index}` }));
      const table = new AllowedIps<Peer>();
      const slow = new SlowTable();
      const networks: Cidr[] = [];
      for (let route = 0; route < 400; route++) networks.push(...similarNetworks(random, length, 101));
      for (const network of networks) {
        const owner = peers[randomInt(random, peers.length)]!;
        table.insert(network, owner);
        slow.insert(network, owner);
      }
      const agree = () => {
        for (let query = 0; query < 2000; query++) {
          // Half of the questions lie in some network or beside it.
          const address = random.fill(new Uint8Array(length));
          const near = networks[randomInt(random, networks.length)]!;
          if (query & 1) address.set(near.address.subarray(0, 1 + randomInt(random, length)));
          assertStrictEquals(table.lookup(address, 0, length), slow.lookup(address));
        }
      };
      agree();
      for (const owner of peers.slice(0, 20)) {
        assertEquals(routesOf(table, owner).sort(), slow.of(owner).sort());
        table.removePeer(owner);
        slow.removePeer(owner);
      }
      agree();
      for (const owner of peers) table.removePeer(owner);
      for (const { address } of networks) assertEquals(table.lookup(address, 0, length), undefined);
    });
  });
}

Deno.test("a route weighs at most 300 bytes", () => {
  const owners = Array.from({ length: 10_000 }, (_, index) => ({ name: `${index}` }));
  const networks = owners.map((_, index) =>
    networkOf(new Uint8Array([0xfd, 0, 0, 0, 0, 0, index >> 8, index, ...new Array(8).fill(0)]), 64)!
  );
  // The least of three: the compiler's leavings come on top of some.
  const weights = [1, 2, 3].map(() => {
    const table = new AllowedIps<Peer>();
    const bytes = heapOf(() => networks.forEach((network, index) => table.insert(network, owners[index]!)));
    assertEquals(table.lookup(networks[77]!.address, 0, 16), owners[77]);
    return bytes / owners.length;
  });
  assert(Math.min(...weights) <= 300, `${weights} bytes per route`);
});
