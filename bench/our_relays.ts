/**
 * Culvert's relays as their operators start them, each a process: what carries fragments, and what carries circuits.
 *
 *   load ⇄ proxy ⇄ upstreams ⇄ central ⇄ downstreams ⇄ proxy        central ⇄ source
 *   load ⇄ proxy ⇄ relay ⇄ relay ⇄ gateway ⇄ source
 */

import { formatTarget, parseTarget, type Target } from "../protocol/stream.ts";
import { freePort, type Program } from "../testing/program.ts";
import { untilReachable } from "../testing/socks_client.ts";
import { load } from "./loads.ts";
import { type Member, type OurNetwork, proxyOf } from "./our_network.ts";

const HOST = "127.0.0.1";
const HOLD_MS = 120_000;
/** Relays tell base that they are there, and it tells the proxy, in the background. */
const REGION = "bench";

export interface FragmentSettings {
  readonly upstreams: number;
  readonly downstreams: number;
  /** Somebody stands between the client and each relay, who loses what he is told to lose. */
  readonly isLossy?: boolean;
}

export interface FragmentRelays {
  readonly base: Member;
  readonly upstreams: readonly Member[];
  readonly downstreams: readonly Member[];
  readonly central: Member;
  /** Between the client and the relays, when there is. */
  readonly losers: Program | undefined;
  /** For `--path`. */
  readonly url: string;
}

/** Everything but the client. */
export async function startFragmentRelays(network: OurNetwork, settings: FragmentSettings): Promise<FragmentRelays> {
  const base = await network.startBase();
  const count = settings.upstreams + settings.downstreams;
  const places = Array.from({ length: count }, () => ({ host: HOST, port: freePort() }));
  const losers = settings.isLossy ? load("losers", { to: places.map(formatTarget).join(",") }) : undefined;
  const advertised = losers ? await addressesOf(losers) : places;
  const relays = await Promise.all(places.map((place, at) => {
    const kind = at < settings.upstreams ? "upstream" : "downstream";
    return network.startInspected(kind, `${kind}-${at}`, [
      ...["--listen", formatTarget(place), "--advertise", `http://${formatTarget(advertised[at]!)}`],
      ...relayFlags(base),
    ]);
  }));
  const central = await startCentral(network, base);
  const { upstreams, downstreams } = settings;
  const url = `fragments+http://${base.address("listen")}/?up=${upstreams}&down=${downstreams}&data=2&total=3`;
  return {
    base,
    upstreams: relays.slice(0, upstreams),
    downstreams: relays.slice(upstreams),
    central,
    losers,
    url,
  };
}

async function startCentral(network: OurNetwork, base: Member): Promise<Member> {
  const place = `${HOST}:${freePort()}`;
  const listen = ["--listen", place, "--advertise", `http://${place}`];
  return await network.start("central", "central", [...listen, ...relayFlags(base), ...await network.policyFlags()]);
}

export interface CircuitRelays {
  readonly relays: readonly Member[];
  readonly gateway: Member;
  /** For `--path`, of circuits over two relays. */
  readonly url: string;
}

/** Relays and a gateway behind them. */
export async function startCircuitRelays(network: OurNetwork, count: number): Promise<CircuitRelays> {
  const base = await network.startBase();
  const relays = await Promise.all(Array.from({ length: count }, (_, at) => {
    const place = `${HOST}:${freePort()}`;
    const listen = ["--listen", place, "--advertise", `http://${place}`];
    // Here all clients are at one address.
    const flags = [...listen, ...relayFlags(base), "--max-links-per-address", "4096"];
    return network.startInspected("relay", `relay-${at}`, flags);
  }));
  const gatewayFlags = ["--base", `http://${base.address("listen")}`, ...await network.policyFlags()];
  const gateway = await network.start("gateway", "gateway", gatewayFlags);
  return { relays, gateway, url: `circuit+http://${base.address("listen")}/?hops=2` };
}

/** A client with that path, once it reaches the target; gives where it speaks SOCKS5. */
export async function startProxyOver(
  network: OurNetwork,
  url: string,
  target: Target,
): Promise<{ proxy: Target; member: Member }> {
  const flags = ["--listen", `${HOST}:${freePort()}`, "--path", url];
  const member = await network.start("proxy", `proxy-${freePort()}`, flags);
  await untilReachable(proxyOf(member), target);
  return { proxy: proxyOf(member), member };
}

function relayFlags(base: Member): string[] {
  return ["--base", `http://${base.address("listen")}`, "--region", REGION];
}

async function addressesOf(losers: Program): Promise<Target[]> {
  const { addresses } = await losers.readJson() as { addresses: { listen: string } };
  return addresses.listen.split(",").map((each) => parseTarget(each)!);
}

/** What holding things through relays costs them, each by what it is called: KiB that the one it costs most holds more. */
export async function measureHeld(
  relays: readonly Member[],
  { url, target, count }: { readonly url: string; readonly target: Target; readonly count: number },
): Promise<{ readonly idle: number; readonly unread: number }> {
  const hold = async (stalled: 0 | 1) => {
    const program = load("paths", { url, target: formatTarget(target), count, stalled });
    await program.readJson(HOLD_MS);
    return program;
  };
  {
    await using _first = await hold(1); // what a process has grown to once says little
  }
  const before = await heldBy(relays);
  const grown = async (stalled: 0 | 1) => {
    await using _held = await hold(stalled);
    const after = await heldBy(relays);
    return Math.max(...after.map((kib, at) => kib - before[at]!)) / count;
  };
  return { idle: await grown(0), unread: await grown(1) };
}

function heldBy(members: readonly Member[]): Promise<number[]> {
  return Promise.all(members.map((member) => member.heldKib()));
}
