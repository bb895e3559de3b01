/**
 * `culvert relay-packets`: passes UDP packets on and remembers nothing of them. Each says where it goes, in a ticket that only
 * this relay's key could have made; who may have tickets, and where they may lead, is said here.
 *
 *   clients ─ UDP ─▶ --listen ─ UDP ─▶ servers, other packet relays
 *
 * Any number of them with one key file are one relay. docs/relay-packets.md
 */

import { join } from "@std/path";
import { z } from "zod";
import { openPacketRelay, type PacketRelay } from "../native/relay_packets/relay_packets.ts";
import { aborted } from "../protocol/abort.ts";
import { parseIp } from "../protocol/ip.ts";
import { clientSecret, formatRouteHop, isClientName } from "../protocol/sealed_route/access.ts";
import { parseRouteRule, type RouteRule } from "../protocol/sealed_route/policy.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import { durationMs, filePath, listenAddress, targetAddress } from "./fields.ts";
import { loadOrCreatePacketRelayKey } from "./packet_relay_key.ts";
import { countPacketRelay } from "./packet_relay_metrics.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { StateDirectory } from "./state.ts";

const name = z.string().refine(isClientName, "lower-case letters, digits, dots and dashes, such as alice-phone")
  .meta({ placeholder: "name" });

const rule = z.string().meta({ placeholder: "place" }).transform((text, context): RouteRule => {
  const parsed = parseRouteRule(text);
  if (parsed) return parsed;
  context.issues.push({
    code: "custom",
    message: "an address or a network, with ports or without, such as 203.0.113.0/24:7000-7010 or [2001:db8::1]:7000",
    input: text,
  });
  return z.NEVER;
});

const megabits = z.number().positive().max(1_000_000).optional();

const config = z.object({
  listen: listenAddress("0.0.0.0:7430").refine(({ host }) => parseIp(host) !== undefined, "an IP address and a port")
    .describe("Where packets come in and go out; [::] with a port is every address of both families."),
  keyFile: filePath().optional().describe("The relay's key; made if it is not there. Several relays may share it.")
    .meta({ defaultText: "packet-relay.key in --state-dir" }),
  client: z.array(name).max(10_000).default([]).describe("Somebody who may have tickets; once for each."),
  allow: z.array(rule).max(1000).default([])
    .describe("Where tickets may lead, private addresses too; once for each.")
    .meta({ defaultText: "public, ports 443 and 1024 on" }),
  ticketLifetime: durationMs("10m", { minMs: 10_000, maxMs: 3_600_000 })
    .describe("How long a ticket is good for, and so a client that is no longer let in."),
  sharePort: z.boolean().default(false).describe("Let others with the same key listen on the same port."),
  clientRate: megabits.describe("What a client may send and get, in Mbit/s; no limit unless given.")
    .meta({ placeholder: "mbps" }),
  rate: megabits.describe("What may go by the tickets of one hour, in Mbit/s; no limit unless given.")
    .meta({ placeholder: "mbps" }),
  show: name.optional().describe("Print what this client is to be given, and end."),
  advertise: targetAddress().optional().describe("Where clients reach --listen, for --show.")
    .meta({ defaultText: "as --listen" }),
}).superRefine(({ client, show, advertise, listen }, context) => {
  const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
  if (client.length === 0 && show === undefined) issue("client", "given at least once: nobody else gets tickets");
  if (show !== undefined && !advertise && (isEveryAddress(listen.host) || listen.port === 0)) {
    issue("advertise", "given with --show, because --listen is no place that clients could reach");
  }
});

function isEveryAddress(host: string): boolean {
  const address = parseIp(host);
  return address !== undefined && address.every((byte) => byte === 0);
}

type Settings = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "relay-packets",
  summary: "Passes UDP packets on by tickets that they carry, and remembers nothing.",
  config,
  examples: [
    "culvert relay-packets --client alice",
    "culvert relay-packets --show alice --advertise relay.example:7430",
    "culvert relay-packets --client alice --allow 203.0.113.7:29900",
  ],
  async run(config, context) {
    const relayKey = await loadKey(config, context);
    if (config.show !== undefined) return show(config.show, relayKey, config, context);
    const { signal, clock, metrics } = context;
    await using relay = await open(config, relayKey, context);
    await using _counting = countPacketRelay(relay, { clock, metrics });
    const listen: Target = { host: config.listen.host, port: relay.port };
    const ended = relay.ended.then((error) => {
      if (error) throw error;
    });
    context.ready({ addresses: { listen: formatTarget(listen) }, note: `clients ${config.client.length}` });
    await Promise.race([aborted(signal), ended]);
  },
});

async function loadKey(
  { keyFile }: Settings,
  { stateDir, random, clock }: RoleContext,
): Promise<Uint8Array<ArrayBuffer>> {
  if (keyFile !== undefined) return await loadOrCreatePacketRelayKey(keyFile, { random, clock });
  const state = await StateDirectory.open(stateDir);
  return await loadOrCreatePacketRelayKey(join(state.path, "packet-relay.key"), { random, clock });
}

const BYTES_PER_MEGABIT = 125_000;

async function open(
  { listen, client, allow, sharePort, ticketLifetime, clientRate, rate }: Settings,
  relayKey: Uint8Array<ArrayBuffer>,
  { log }: RoleContext,
): Promise<PacketRelay> {
  return await openPacketRelay({
    ...{ relayKey, log, rules: allow, clients: client, sharesPort: sharePort, ticketLifetimeMs: ticketLifetime },
    listen: { address: parseIp(listen.host)!, port: listen.port },
    ...clientRate !== undefined && { accountBytesPerS: clientRate * BYTES_PER_MEGABIT },
    ...rate !== undefined && { epochBytesPerS: rate * BYTES_PER_MEGABIT },
  });
}

function show(
  client: string,
  relayKey: Uint8Array<ArrayBuffer>,
  { advertise, listen }: Settings,
  { json, print }: RoleContext,
): void {
  const relay = formatRouteHop({ secret: clientSecret(relayKey, client), addresses: [advertise ?? listen] });
  print(json ? JSON.stringify({ client, relay }) : relay);
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
