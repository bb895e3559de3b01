import { assertEquals, assertRejects } from "@std/assert";
import type { Identity } from "../../protocol/identity.ts";
import { parseTarget } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { type CarriersContext, openCarriers, portsOf, relayHostOf } from "./carriers.ts";
import type { SupernodeSettings } from "./settings.ts";

Deno.test("others find the relay where they find the supernode, unless that is told, or none can be told", () => {
  const rows: [string, { listen: string; advertise?: string; relayHost?: string }, string | undefined][] = [
    ["where it listens", { listen: "192.0.2.1:8450" }, "192.0.2.1"],
    ["what it advertises", { listen: "10.0.0.1:8450", advertise: "https://sn.example:443" }, "sn.example"],
    ["an address of IPv6", { listen: "127.0.0.1:1", advertise: "https://[2001:db8::1]/" }, "2001:db8::1"],
    ["what is told", { listen: "0.0.0.0:8450", relayHost: "udp.example" }, "udp.example"],
    ["all addresses", { listen: "0.0.0.0:8450" }, undefined],
    ["all addresses of IPv6", { listen: "[::]:8450" }, undefined],
  ];
  for (const [name, { listen, advertise, relayHost }, host] of rows) {
    assertEquals(relayHostOf({ listen: parseTarget(listen)!, advertise, relayHost }), host, name);
  }
});

Deno.test("tunnels that end here have the end of the range, and at most half of it", () => {
  const relayPorts = { first: 40_000, last: 40_999 };
  assertEquals(portsOf({ relayPorts, terminate: false }), {
    blind: relayPorts,
    tunnels: { first: 41_000, last: 40_999 },
    clients: [],
  });
  assertEquals(portsOf({ relayPorts, terminate: true }), {
    blind: { first: 40_000, last: 40_743 },
    tunnels: { first: 40_744, last: 40_995 },
    clients: [40_999, 40_998, 40_997, 40_996],
  });
  assertEquals(portsOf({ relayPorts: { first: 40_000, last: 40_005 }, terminate: true }), {
    blind: { first: 40_000, last: 40_002 },
    tunnels: { first: 40_003, last: 40_003 },
    clients: [40_005, 40_004],
  });
});

Deno.test("a range that leaves no port for tunnels to exits is refused before anything is opened", async () => {
  for (const last of [40_000, 40_002]) {
    const config = { relay: true, terminate: true, relayHost: "192.0.2.1", relayPorts: { first: 40_000, last } };
    await assertRejects(
      () => openCarriers(config as SupernodeSettings, {} as Identity, {} as CarriersContext),
      ConfigError,
      "four --relay-ports",
    );
  }
});
