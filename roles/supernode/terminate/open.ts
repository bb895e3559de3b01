/**
 * The terminating relay of a supernode, as its settings say: `--relay-pool` and `--relay-interface`.
 */

import { messageOf } from "../../../protocol/errors.ts";
import { type Cidr, parseCidr } from "../../../protocol/ip.ts";
import type { Key } from "../../../protocol/wireguard/settings.ts";
import { ConfigError } from "../../config.ts";
import { AddressPool } from "../../exit/packets/address_pool.ts";
import { hasIpv6 } from "../../exit/packets/forwarding.ts";
import type { RoleContext } from "../../role.ts";
import { ACTION, type SupernodeSettings } from "../settings.ts";
import { openHostMachine } from "./host_machine.ts";
import { WireGuardRelay } from "./terminating_relay.ts";

/**
 * Of every supernode alike, as 10.200.0.0/16 is: a client that goes to another keeps its address. Unique local (RFC 4193),
 * and translated on the way out; beside that of exits.
 */
const POOL6 = parseCidr("fdc7:1be5:c000::/64")!;

export interface OpenOptions {
  readonly host: string;
  /** The supernode's own. */
  readonly privateKey: Key;
  /** Tried in turn, so that clients find it at the same one after a restart. */
  readonly clientPorts: readonly number[];
  readonly exitPorts: readonly number[];
}

/** Rejects with the reason where this machine, or this user, cannot have one; whoever has asked for it is to know. */
export async function openTerminatingRelay(
  { relayPool, relayInterface: interfaceName }: Pick<SupernodeSettings, "relayPool" | "relayInterface">,
  options: OpenOptions,
  context: Pick<RoleContext, "clock" | "random" | "log" | "check">,
): Promise<{ readonly terminating: WireGuardRelay } & AsyncDisposable> {
  const pools = await poolsOf(relayPool);
  await using held = new AsyncDisposableStack();
  const machine = held.use(await openHostMachine({ interfaceName, backend: "auto" }, context));
  const terminating = held.use(await WireGuardRelay.open({ ...options, interfaceName, pools }, machine));
  let problem: string | undefined;
  void terminating.ended.then((error) => {
    if (!error) return;
    problem = messageOf(error);
    context.log.error("Tunnels do not end here any more, until the supernode is started again", { error: problem });
  });
  context.check("terminate", () => problem);
  const kept = held.move();
  return { terminating, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function poolsOf(relayPool: Cidr): Promise<AddressPool[]> {
  if (relayPool.address.length !== 4) {
    throw new ConfigError(ACTION, ["--relay-pool must be a network of IPv4; that of IPv6 is given"]);
  }
  return [relayPool, ...await hasIpv6() ? [POOL6] : []].map((network) => new AddressPool(network));
}
