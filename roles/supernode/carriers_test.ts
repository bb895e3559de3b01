import { assertEquals } from "@std/assert";
import { parseTarget } from "../../protocol/stream.ts";
import { relayHostOf } from "./carriers.ts";

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
