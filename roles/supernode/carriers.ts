/**
 * What a supernode carries packets with, made as its settings say and this machine allows. Where the relay cannot be made
 * the supernode does without: it says so once, and refuses clients that wish for packets. Where tunnels are to end here
 * (`--terminate`) and cannot, it does not start.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { classify } from "../../protocol/ip_class.ts";
import type { Identity } from "../../protocol/identity.ts";
import { ConfigError } from "../config.ts";
import type { RoleContext } from "../role.ts";
import { LastingRelay } from "./lasting_relay.ts";
import type { PacketCarriers } from "./packet_relay.ts";
import { ACTION, type SupernodeSettings } from "./settings.ts";

export type CarriersContext = Pick<RoleContext, "clock" | "random" | "log" | "check">;

export type Carriers = PacketCarriers & AsyncDisposable;

/** Undefined when there are to be none, or can be none. Disposing closes every port, and ends every tunnel. */
export async function openCarriers(
  config: SupernodeSettings,
  identity: Pick<Identity, "secrets">,
  context: CarriersContext,
): Promise<Carriers | undefined> {
  if (!config.terminate) return await openBlind(config, context);
  // Most users of it need not load what it is made of.
  const { openTerminatingRelay, sharePorts } = await import("./terminate/open.ts");
  const { blind, ...ports } = sharePorts(config.relayPorts);
  await using held = new AsyncDisposableStack();
  const carriers = await openBlind({ ...config, relayPorts: blind }, context);
  if (!carriers) {
    throw new ConfigError(ACTION, ["--terminate needs a relay, and there is none: see --relay and --relay-host"]);
  }
  held.use(carriers);
  const options = { host: carriers.host, privateKey: identity.secrets().wireguardKey, ...ports };
  const { terminating } = held.use(await openTerminatingRelay(config, options, context));
  const kept = held.move();
  return { ...carriers, terminating, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function openBlind(config: SupernodeSettings, context: CarriersContext): Promise<Carriers | undefined> {
  if (!config.relay) return undefined;
  const { log } = context;
  const { first, last } = config.relayPorts;
  const host = relayHostOf(config);
  if (host === undefined) {
    log.warn("Packets are not relayed: --relay-host must say under which address others reach this machine");
    return undefined;
  }
  try {
    const relay = await openLastingRelay(config, context);
    context.check("relay", () => relay.problem);
    log.debug("Packets are relayed", { host, first_port: first, last_port: last });
    return { host, relay, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
  } catch (error) {
    log.warn("Packets are not relayed: the relay cannot be started", { error: messageOf(error) });
    return undefined;
  }
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

async function openLastingRelay(
  { relayPorts: { first, last } }: SupernodeSettings,
  { clock, random, log }: CarriersContext,
): Promise<LastingRelay> {
  const { state } = await Deno.permissions.query({ name: "ffi" });
  if (state !== "granted") throw new CulvertError("no_ffi", "Cannot relay packets: it needs --allow-ffi");
  const { openRelay } = await import("../../native/relay/relay.ts");
  const portCount = last - first + 1;
  const start = (onLearned: LastingRelay["onLearned"]) =>
    openRelay({ firstPort: first, lastPort: last, maxSessions: portCount, log, onLearned });
  return await LastingRelay.start({ portCount, start, clock, random, log });
}
