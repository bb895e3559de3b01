/**
 * What a supernode carries packets with, made as its settings say and this machine allows. Where the blind relay cannot be
 * made the supernode does without: it says so once, and refuses clients that wish for packets. Who asks for tunnels to end
 * here has it made, or is told why not.
 *
 *   --relay-ports   first … blind sessions … │ … tunnels to exits … │ … clients' tunnels, last        the last with --terminate
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import { parseIp } from "../../protocol/ip.ts";
import { classify } from "../../protocol/ip_class.ts";
import { ConfigError } from "../config.ts";
import type { PortRange } from "../fields.ts";
import type { RoleContext } from "../role.ts";
import { LastingRelay } from "./lasting_relay.ts";
import type { PacketCarriers } from "./packet_relay.ts";
import { lackOfDenoRight, requireDenoRight } from "../machine/deno_rights.ts";
import { ACTION, type SupernodeSettings } from "./settings.ts";

/** Of the range, for tunnels that end here: one for all clients, and one for each exit in use. */
const TERMINATED_PORTS = 256;
/** Tried for the clients' tunnels. */
const CLIENT_PORTS = 4;

export type CarriersContext = Pick<RoleContext, "clock" | "random" | "log" | "check">;

/** Undefined when there are to be none, or can be none. Disposing takes everything away. */
export async function openCarriers(
  config: SupernodeSettings,
  identity: Identity,
  context: CarriersContext,
): Promise<(PacketCarriers & AsyncDisposable) | undefined> {
  const { log } = context;
  const host = relayHostOf(config);
  if (config.terminate && (!config.relay || host === undefined)) {
    throw new ConfigError(ACTION, ["--terminate needs the relay, and --relay-host, or a host that others can reach"]);
  }
  const ports = portsOf(config);
  if (config.terminate && ports.tunnels.last < ports.tunnels.first) {
    throw new ConfigError(ACTION, ["--terminate needs a range of four --relay-ports or more"]);
  }
  if (config.terminate) requireDenoRight({ role: "supernode", what: "--terminate", right: "all" });
  if (!config.relay) return undefined;
  if (host === undefined) {
    log.warn("Packets are not relayed: --relay-host must say under which address others reach this machine");
    return undefined;
  }
  await using held = new AsyncDisposableStack();
  const relay = await openBlind(ports.blind, context);
  if (!relay && config.terminate) throw new CulvertError("no_relay", "Cannot terminate tunnels without the relay");
  if (!relay) return undefined;
  held.use(relay);
  const terminating = config.terminate
    ? held.use(await openTerminating(config, { host, ports, identity }, context)).terminating
    : undefined;
  const kept = held.move();
  return { host, relay, terminating, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Under which others find the relay's ports. An address that stands for all of a machine's is none to be told. */
export function relayHostOf(
  { relayHost, advertise, listen }: Pick<SupernodeSettings, "relayHost" | "advertise" | "listen">,
): string | undefined {
  if (relayHost !== undefined) return relayHost;
  const host = advertise === undefined ? listen.host : new URL(advertise).hostname.replace(/^\[(.*)\]$/, "$1");
  const address = parseIp(host);
  return address && classify(address) === "unspecified" ? undefined : host;
}

interface Ports {
  readonly blind: PortRange;
  readonly tunnels: PortRange;
  /** Tried in turn. */
  readonly clients: readonly number[];
}

/** A small range is shared in halves. */
export function portsOf(
  { relayPorts: { first, last }, terminate }: Pick<SupernodeSettings, "relayPorts" | "terminate">,
): Ports {
  const count = terminate ? Math.min(TERMINATED_PORTS, Math.floor((last - first + 1) / 2)) : 0;
  const clientCount = Math.min(CLIENT_PORTS, Math.ceil(count / 2));
  return {
    blind: { first, last: last - count },
    tunnels: { first: last - count + 1, last: last - clientCount },
    clients: Array.from({ length: clientCount }, (_, at) => last - at),
  };
}

async function openBlind(
  { first, last }: PortRange,
  { clock, random, log, check }: CarriersContext,
): Promise<LastingRelay | undefined> {
  try {
    const problem = lackOfDenoRight({ role: "supernode", what: "relay packets", right: "libc" });
    if (problem !== undefined) throw new CulvertError("no_ffi", problem);
    const { openRelay } = await import("../../native/relay/relay.ts");
    const portCount = last - first + 1;
    const start = (onLearned: LastingRelay["onLearned"]) =>
      openRelay({ firstPort: first, lastPort: last, maxSessions: portCount, log, onLearned });
    const relay = await LastingRelay.start({ portCount, start, clock, random, log });
    check("relay", () => relay.problem);
    return relay;
  } catch (error) {
    log.warn("Packets are not relayed: the relay cannot be started", { error: messageOf(error) });
    return undefined;
  }
}

/** Rejects when this machine does not allow it. Most users need not load what it is made of. */
async function openTerminating(
  config: SupernodeSettings,
  { host, ports: { tunnels, clients }, identity }: {
    readonly host: string;
    readonly ports: Ports;
    readonly identity: Identity;
  },
  context: CarriersContext,
) {
  const { openTerminatingRelay } = await import("./terminate/open.ts");
  const exitPorts = Array.from({ length: tunnels.last - tunnels.first + 1 }, (_, at) => tunnels.first + at);
  const { wireguardKey: privateKey } = identity.secrets();
  return await openTerminatingRelay(config, { host, privateKey, clientPorts: clients, exitPorts }, context);
}
