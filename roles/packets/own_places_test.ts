import { assertEquals } from "@std/assert";
import { parseCidr, parseIp } from "../../protocol/ip.ts";
import { parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { ownPlaces } from "./own_places.ts";
import type { ProbePort } from "./probe_port.ts";

const relayAt = parseEndpoint("198.51.100.1:40000")!;
const reflexive = parseEndpoint("203.0.113.1:6000")!;
const endpoint = parseEndpoint("203.0.113.77:777")!;

function port(v4: string | undefined, v6: string | undefined): ProbePort {
  return {
    port: 5000,
    send: () => true,
    sourceTo: ({ address }) => parseIp((address.length === 4 ? v4 : v6) ?? ""),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

for (
  const { name, v4 = "192.168.1.2", v6, options = {}, says } of [
    { name: "as the relay sees it", options: { reflexive }, says: ["203.0.113.1:6000"] },
    { name: "nowhere, when the relay does not say", says: [] },
    {
      name: "where its keeper says, first",
      options: { reflexive, endpoint },
      says: ["203.0.113.77:777", "203.0.113.1:6000"],
    },
    {
      name: "inside a NAT, to one inside it",
      options: { reflexive, isNeighbour: true },
      says: ["192.168.1.2:5000", "203.0.113.1:6000"],
    },
    {
      name: "once, without a NAT",
      v4: "203.0.113.1",
      options: { reflexive: parseEndpoint("203.0.113.1:5000")!, isNeighbour: true },
      says: ["203.0.113.1:5000"],
    },
    {
      name: "at its global IPv6 address",
      v6: "2001:db8::7",
      options: { reflexive },
      says: ["203.0.113.1:6000", "[2001:db8::7]:5000"],
    },
    {
      name: "not inside its tunnel",
      v6: "2001:db8::7",
      options: { reflexive, tunnels: [parseCidr("2001:db8::/64")!] },
      says: ["203.0.113.1:6000"],
    },
    { name: "not at a local IPv6 address", v6: "fd00::7", options: { reflexive }, says: ["203.0.113.1:6000"] },
    { name: "not at a link-local IPv6 address", v6: "fe80::7", options: { reflexive }, says: ["203.0.113.1:6000"] },
    {
      name: "without routes, as the relay sees it",
      v4: "",
      options: { reflexive, isNeighbour: true },
      says: ["203.0.113.1:6000"],
    },
  ]
) {
  Deno.test(`it is told to be ${name}`, () => {
    assertEquals(ownPlaces({ port: port(v4, v6), relayAt, isNeighbour: false, ...options }), says);
  });
}
