import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { CachingResolver } from "../../net/resolve.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { FarRelays } from "./far_relays.ts";

const NAMES: Record<string, string[]> = {
  "public.example": ["8.8.8.8"],
  "both.example": ["10.0.0.1", "9.9.9.9"],
  "inside.example": ["10.0.0.1", "fd00::1"],
  "nowhere.example": [],
  "own.example": ["198.18.0.1"],
  "sn.example": ["10.9.9.9", "203.0.113.9"],
};
const OWN = { host: "own.example", has: (port: number) => port === 40_000 };

function makeRelays(hostOf: (supernodeId: string) => Promise<string> = () => Promise.resolve("sn.example")) {
  const clock = new FakeClock();
  const lookup = (name: string) => Promise.resolve((NAMES[name] ?? []).map((text) => parseIp(text)!));
  return new FarRelays({ resolver: new CachingResolver({ clock, lookup }), hostOf, clock });
}

async function find(at: string, relays = makeRelays()): Promise<string> {
  try {
    return formatEndpoint(await relays.find({ supernodeId: "sn", at, own: OWN }));
  } catch (error) {
    return (error as CulvertError).code;
  }
}

const ROWS: readonly [name: string, at: string, found: string][] = [
  ["a public address", "8.8.4.4:41000", "8.8.4.4:41000"],
  ["one of IPv6", "[2606:4700::1]:41000", "[2606:4700::1]:41000"],
  ["a name of a public address", "public.example:41000", "8.8.8.8:41000"],
  ["a name of two, one of them public", "both.example:41000", "9.9.9.9:41000"],
  ["a name in a private network", "inside.example:41000", "bad_relay"],
  ["a name without an address", "nowhere.example:41000", "bad_relay"],
  ["a private address", "10.0.0.1:41000", "bad_relay"],
  ["the private address that the supernode has", "10.9.9.9:41000", "10.9.9.9:41000"],
  ["its other one", "203.0.113.9:41000", "203.0.113.9:41000"],
  ["this machine", "127.0.0.1:41000", "bad_relay"],
  ["this machine in IPv6", "[::1]:41000", "bad_relay"],
  ["this machine, spelled as IPv6", "[::ffff:127.0.0.1]:41000", "bad_relay"],
  ["all of a link", "224.0.0.1:41000", "bad_relay"],
  ["the cloud's own", "169.254.169.254:41000", "bad_relay"],
  ["everybody", "255.255.255.255:41000", "bad_relay"],
  ["a port of the system's", "8.8.8.8:53", "bad_relay"],
  ["no port", "8.8.8.8:0", "bad_relay"],
  ["too great a port", "8.8.8.8:70000", "bad_relay"],
  ["a number that some take for an address", "2130706433:41000", "bad_relay"],
  ["nothing", "", "bad_relay"],
];

for (const [name, at, found] of ROWS) {
  Deno.test(`another supernode that names ${name} ${found === "bad_relay" ? "is not" : "is"} believed`, async () => {
    assertEquals(await find(at), found);
  });
}

Deno.test("a port of ours is nobody else's, so that nothing goes round in circles", async () => {
  const relays = makeRelays(() => Promise.resolve("own.example"));
  assertEquals(await find("198.18.0.1:40000", relays), "bad_relay");
  assertEquals(await find("198.18.0.1:40001", relays), "198.18.0.1:40001", "of another on this machine");
});

Deno.test("when nobody knows where the supernode is, only public addresses will do", async () => {
  const relays = makeRelays(() => Promise.reject(new DialError("path_down", "nobody knows")));
  assertEquals(await find("10.9.9.9:41000", relays), "bad_relay");
  assertEquals(await find("8.8.4.4:41000", relays), "8.8.4.4:41000");
});

Deno.test("a name that takes long to look up is given up", async () => {
  const clock = new FakeClock();
  const resolver = new CachingResolver({ clock, lookup: () => new Promise(() => {}) });
  const relays = new FarRelays({ resolver, hostOf: () => Promise.resolve("sn.example"), clock });
  const finding = assertRejects(
    () => relays.find({ supernodeId: "sn", at: "slow.example:41000", own: OWN }),
    CulvertError,
  );
  await clock.advanceAsync(2_000);
  assertEquals((await finding).code, "bad_relay");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("whatever it names, datagrams go to public addresses and to its own", async () => {
  const relays = makeRelays();
  await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6().map((ip) => `[${ip}]`)), async (host) => {
    const found = await find(`${host}:41000`, relays);
    if (found === "bad_relay") return;
    const isPrivate = /^(10|127|192\.168|169\.254)\./.test(found) || /^\[(::|f[cde])/.test(found);
    assertEquals(isPrivate && !found.startsWith("10.9.9.9:"), false, found);
  }));
});
