import { assertEquals } from "@std/assert";
import { dialledTargets, knownAddresses } from "./reach.ts";

Deno.test("addresses without a host of their own are where the peer was seen to come from", () => {
  const addresses = ["0.0.0.0:4100", "[::]:4100", "198.51.100.7:4100", "[2001:db8::1]:1", "peer.example:9"];
  const others = [{ host: "198.51.100.7", port: 4100 }, { host: "2001:db8::1", port: 1 }, {
    host: "peer.example",
    port: 9,
  }];
  assertEquals(dialledTargets({ addresses }), others);
  assertEquals(dialledTargets({ addresses }, "203.0.113.9"), [{ host: "203.0.113.9", port: 4100 }, ...others]);
  assertEquals(dialledTargets({ addresses }, "198.51.100.7"), others);
});

Deno.test("what cannot be dialled is left out", () => {
  assertEquals(dialledTargets({ addresses: ["192.0.2.1:0", "192.0.2.1:70000", "nothing", "0.0.0.0:1"] }), []);
});

Deno.test("a card that is handed on says the addresses that are known", () => {
  assertEquals(
    knownAddresses(["0.0.0.0:4100", "peer.example:9"], ["198.51.100.7", "2001:db8::1"]),
    ["198.51.100.7:4100", "[2001:db8::1]:4100", "peer.example:9"],
  );
  assertEquals(knownAddresses(["0.0.0.0:1"], ["a", "a", "b", "c"], 2), ["a:1", "b:1"]);
});
