/**
 * Everybody who carries packets between two namespaces, ready to be measured: ours and each WireGuard program that is
 * here as a rig (`testing/wireguard_rig.ts`), and the prototype, which is a data path without a handshake. None of the
 * programs that are named by environment is part of this repository:
 *
 *   WIREGUARD_GO=/path/wireguard-go         another wireguard-go than the installed one
 *   WIREGUARD_PROTOTYPE=/path/tun_gso.ts    the prototype of the data path
 */

import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { Program } from "../testing/program.ts";
import { findTool } from "../testing/requirements.ts";
import {
  culvertUserspace,
  type IpVersion,
  wireguardGo,
  type WireGuardMaker,
  WireGuardRig,
} from "../testing/wireguard_rig.ts";
import { startIperf } from "./iperf.ts";

export interface TunnelPair extends AsyncDisposable {
  readonly name: string;
  readonly near: NetNamespace;
  /** Where iperf3 listens. */
  readonly far: NetNamespace;
  /** The far end's addresses, through the tunnel and beside it. */
  readonly inner: Readonly<Record<IpVersion, string>>;
  readonly outer: Readonly<Record<IpVersion, string>>;
  /** The near device's process, then the far one's. */
  readonly programs: readonly Program[];
}

/** A pair of WireGuard devices, which can do more than carry packets. */
export interface WireGuardPair extends TunnelPair {
  readonly rig: WireGuardRig;
}

/** Somebody to measure, if this machine has it. */
export interface PairMaker {
  readonly name: string;
  readonly isHere: boolean;
  start(): Promise<TunnelPair>;
}

export function ourPair(): Promise<WireGuardPair> {
  return startRig(culvertUserspace());
}

/** Whom we are measured against. */
export function wireguardRivals(): PairMaker[] {
  const [current, prototype] = [Deno.env.get("WIREGUARD_GO"), Deno.env.get("WIREGUARD_PROTOTYPE")];
  return [
    rival(wireguardGo(), findTool("wireguard-go")),
    rival(wireguardGo({ name: "wireguard-go current", ...current && { path: current } }), current),
    { name: "prototype", isHere: prototype !== undefined, start: () => startPrototype(prototype!) },
  ];
}

function rival(maker: WireGuardMaker, path: string | undefined): PairMaker {
  return { name: maker.name, isHere: path !== undefined, start: () => startRig(maker) };
}

async function startRig(maker: WireGuardMaker): Promise<WireGuardPair> {
  await using resources = new AsyncDisposableStack();
  const rig = resources.use(await WireGuardRig.open({ a: maker, b: maker }));
  const { a, b } = rig;
  resources.use(await startIperf(b.namespace));
  // The handshake is made before anyone measures.
  await a.run(["ping", "-c", "1", "-w", "10", b.inner[4]]);
  const kept = resources.move();
  return {
    name: maker.name,
    rig,
    near: a.namespace,
    far: b.namespace,
    inner: b.inner,
    outer: b.outer,
    programs: [a.program, b.program],
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** `tun_gso.ts SIDE PORT PEER PORT MODE`: brings its own interface up as 10.99.0.1 or .2 and prints a line. */
async function startPrototype(path: string): Promise<TunnelPair> {
  await using resources = new AsyncDisposableStack();
  const lab = resources.use(await NetLab.open());
  const [near, far] = [await lab.namespace("prototype-a"), await lab.namespace("prototype-b")];
  await lab.connect(near, "10.77.0.1/24", far, "10.77.0.2/24");
  const start = async (namespace: NetNamespace, side: string, peer: string) => {
    const deno = [Deno.execPath(), "run", "-A", "--no-check", "--no-config", path];
    const program = resources.use(new Program(namespace.inside([...deno, side, "5000", peer, "5000", "gso"])));
    await program.readLine();
    return program;
  };
  const programs = [await start(near, "a", "10.77.0.2"), await start(far, "b", "10.77.0.1")];
  resources.use(await startIperf(far));
  const kept = resources.move();
  return {
    name: "prototype",
    near,
    far,
    inner: { 4: "10.99.0.2", 6: "" },
    outer: { 4: "10.77.0.2", 6: "" },
    programs,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
