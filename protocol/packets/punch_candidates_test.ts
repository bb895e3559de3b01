import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseCidr } from "../ip.ts";
import { formatEndpoint, parseEndpoint } from "../wireguard/endpoint.ts";
import { readCandidates } from "./punch_candidates.ts";
import { MAX_CANDIDATES } from "./punch_offer.ts";

const reflexive = parseEndpoint("93.184.216.34:5000")!;
const tunnels = [parseCidr("10.201.0.0/16")!, parseCidr("fd12::/64")!];
const read = (texts: string[], scope = {}) => readCandidates(texts, scope).map(formatEndpoint);

for (
  const { name, at, scope = { reflexive, tunnels }, may } of [
    { name: "a public address", at: "1.1.1.1:5000", may: true },
    { name: "a public address of IPv6", at: "[2606:4700::1]:5000", may: true },
    { name: "loopback", at: "127.0.0.1:53", may: false },
    { name: "loopback of IPv6", at: "[::1]:53", may: false },
    { name: "this network", at: "0.0.0.0:53", may: false },
    { name: "multicast", at: "224.0.0.251:5353", may: false },
    { name: "multicast of IPv6", at: "[ff02::fb]:5353", may: false },
    { name: "broadcast", at: "255.255.255.255:67", may: false },
    { name: "link-local", at: "169.254.169.254:80", may: false },
    { name: "link-local of IPv6", at: "[fe80::1%2]:80", may: false },
    { name: "v4 in v6 clothes", at: "[::ffff:127.0.0.1]:80", may: false },
    { name: "v4 behind NAT64", at: "[64:ff9b::7f00:1]:80", may: false },
    { name: "a name", at: "localhost:80", may: false },
    { name: "no port", at: "1.1.1.1:0", may: false },
    { name: "a private address, seen from the internet", at: "192.168.1.1:80", may: false },
    { name: "a shared address, seen from the internet", at: "100.64.0.1:80", may: false },
    { name: "a private address, when the relay said nothing", at: "192.168.1.1:80", scope: {}, may: false },
    {
      name: "inside the tunnel",
      at: "10.201.0.7:80",
      scope: { reflexive: parseEndpoint("10.0.0.1:1")!, tunnels },
      may: false,
    },
    {
      name: "inside the tunnel, by IPv6",
      at: "[fd12::7]:80",
      scope: { reflexive: parseEndpoint("[fd00::1]:1")!, tunnels },
      may: false,
    },
    {
      name: "a private address, within a private network",
      at: "10.9.0.7:80",
      scope: { reflexive: parseEndpoint("10.0.0.1:1")!, tunnels },
      may: true,
    },
  ]
) {
  Deno.test(`${name} ${may ? "may" : "must not"} be probed`, () => assertEquals(read([at], scope), may ? [at] : []));
}

Deno.test("a private address may be probed of one behind the same NAT", () => {
  const local = "192.168.1.7:5000";
  assertEquals(read([local, "93.184.216.34:6000"], { reflexive }), [local, "93.184.216.34:6000"]);
  assertEquals(read([local, "93.184.216.35:6000"], { reflexive }), ["93.184.216.35:6000"]);
});

Deno.test("only so many, and none twice", () => {
  const many = Array.from({ length: 20 }, (_, at) => `1.1.1.1:${1 + at}`);
  assertEquals(read(many).length, MAX_CANDIDATES);
  assertEquals(read(["1.1.1.1:1", "1.1.1.1:1"]), ["1.1.1.1:1"]);
});

Deno.test("any texts are read without complaint", () => {
  fc.assert(fc.property(fc.array(fc.string(), { maxLength: 12 }), (texts) => void read(texts, { reflexive, tunnels })));
});
