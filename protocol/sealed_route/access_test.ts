import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { parseIp } from "../ip.ts";
import { clientKeys, clientSecret, formatRouteHop, isClientName, parseRouteHop, RouteClients } from "./access.ts";
import { placeOf } from "./fixtures/routed_network.ts";
import { parseRouteRule, RoutePolicy } from "./policy.ts";

const relayKey = new Uint8Array(32).fill(7);

Deno.test("a relay's key and a name make a secret, by whose id a client is found", () => {
  const clients = new RouteClients(relayKey, ["alice", "bob"]);
  assertEquals(clients.size, 2);
  for (const name of ["alice", "bob"]) {
    const { id } = clientKeys(clientSecret(relayKey, name));
    const bytes = new Uint8Array(20);
    bytes.set(id, 5);
    assertEquals(clients.find(bytes, 5)?.name, name);
    assertEquals(clients.find(bytes, 4), undefined);
    assertEquals(clients.find(bytes, 18), undefined);
  }
  assertNotEquals(clientSecret(relayKey, "alice"), clientSecret(relayKey, "bob"));
  assertThrows(() => new RouteClients(relayKey, ["Alice"]), RangeError, 'got "Alice"');
});

Deno.test("names are short words", () => {
  for (const name of ["a", "alice-phone", "10.0.0.1", "x".repeat(64)]) assert(isClientName(name), name);
  for (const name of ["", "A", "-a", "a b", "ä", "x".repeat(65), "a\n"]) assert(!isClientName(name), name);
});

Deno.test("a relay as clients know it is text and back", () => {
  const secret = clientSecret(relayKey, "alice");
  for (
    const addresses of [
      [{ host: "relay.example", port: 7430 }],
      [{ host: "192.0.2.1", port: 1 }, { host: "2001:db8::1", port: 65_535 }],
    ]
  ) {
    assertEquals(parseRouteHop(formatRouteHop({ secret, addresses })), { secret, addresses });
  }
  const good = formatRouteHop({ secret, addresses: [{ host: "192.0.2.1", port: 1 }] });
  for (
    const text of [
      ...["", "@", "a@192.0.2.1:1", good.replace(":1", ""), good.replace(":1", ":0"), good.slice(1), good + ","],
      good + ",192.0.2.1:2".repeat(8),
    ]
  ) {
    assertEquals(parseRouteHop(text), undefined, text);
  }
});

Deno.test("rules are networks and addresses, with ports or without", () => {
  const rows: readonly (readonly [string, string, number, number])[] = [
    ["203.0.113.7", "203.0.113.7/32", 1, 65_535],
    ["203.0.113.0/24:7000", "203.0.113.0/24", 7000, 7000],
    ["203.0.113.0/24:7000-7010", "203.0.113.0/24", 7000, 7010],
    ["2001:db8::/32", "2001:db8::/32", 1, 65_535],
    ["[2001:db8::1]:7000", "2001:db8::1/128", 7000, 7000],
    ["[2001:db8::/32]:1-65535", "2001:db8::/32", 1, 65_535],
  ];
  for (const [text, network, firstPort, lastPort] of rows) {
    const [host, bits] = network.split("/");
    assertEquals(
      parseRouteRule(text),
      { network: { address: parseIp(host!)!, bits: Number(bits) }, firstPort, lastPort },
      text,
    );
  }
  for (
    const text of [
      ...["", "relay.example", "203.0.113.7:", "203.0.113.7:0", "203.0.113.7:2-1", "203.0.113.7:70000"],
      ...["[203.0.113.7", "[]:1", ":1", "203.0.113.7:1-2-3", "[2001:db8::1]7000"],
    ]
  ) {
    assertEquals(parseRouteRule(text), undefined, text);
  }
});

Deno.test("without rules tickets lead to public addresses, with them to what they name", () => {
  const from = placeOf("198.51.100.1:4000");
  const open = new RoutePolicy({ own: { has: (address) => address[0] === 8 } });
  const allowed = ["9.9.9.9:1024", "9.9.9.9:443", "9.9.9.9:65535", "[2600::1]:7000"];
  const closed = [
    ...["9.9.9.9:1023", "9.9.9.9:53", "8.8.8.8:7000", "10.0.0.1:7000", "127.0.0.1:7000", "100.64.0.1:7000"],
    ...["[::1]:7000", "[fd00::1]:7000", "[64:ff9b::808:808]:7000", "[2002:808:808::]:7000", "224.0.0.1:7000"],
  ];
  for (const to of allowed) assert(open.allows(from, placeOf(to)), to);
  for (const to of closed) assert(!open.allows(from, placeOf(to)), to);
  const ruled = new RoutePolicy({
    rules: ["10.0.0.0/8:7000", "0.0.0.0/0:1-1", "::/0:1-1"].flatMap((r) => parseRouteRule(r) ?? []),
  });
  assert(ruled.allows(from, placeOf("10.1.2.3:7000")));
  assert(!ruled.allows(from, placeOf("10.1.2.3:7001")));
  assert(!ruled.allows(from, placeOf("9.9.9.9:7000")));
  for (const to of ["224.0.0.1:1", "255.255.255.255:1", "0.0.0.0:1"]) assert(!ruled.allows(from, placeOf(to)), to);
  const v4 = new RoutePolicy({ reaches: { v4: true, v6: false } });
  assert(!v4.allows(from, placeOf("[2600::1]:7000")));
  assert(!open.allows(placeOf("9.9.9.9:7000"), placeOf("9.9.9.9:7000")));
  assert(open.allows(placeOf("9.9.9.9:7001"), placeOf("9.9.9.9:7000")));
});
