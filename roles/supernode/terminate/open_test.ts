import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../config.ts";
import { sharePorts } from "./open.ts";

Deno.test("the last port is the clients', those before it are the exits', and most are left to the blind relay", () => {
  const { blind, clientPorts, exitPorts } = sharePorts({ first: 40_000, last: 49_999 });
  assertEquals(clientPorts, [49_999]);
  assertEquals([exitPorts.length, exitPorts[0], exitPorts.at(-1)], [255, 49_744, 49_998]);
  assertEquals(blind, { first: 40_000, last: 49_743 });
});

Deno.test("of few ports a quarter is for exits, and of too few none can be", () => {
  assertEquals(sharePorts({ first: 1, last: 8 }), {
    blind: { first: 1, last: 5 },
    clientPorts: [8],
    exitPorts: [6, 7],
  });
  assertThrows(() => sharePorts({ first: 1, last: 3 }), ConfigError, "at least 4 ports, got 1-3");
});
