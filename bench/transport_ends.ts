/**
 * Transports between the namespaces of a `LineRig`: a program at each end, and behind the far one the source of the loads.
 *
 *   near: load ─ TCP ─ client ═══ veth or line ═══ server ─ TCP ─ source :far
 *
 * Ours are `load/transport.ts`; the rival is kcptun as Debian packages it, with the same settings on both ends.
 */

import type { Target } from "../protocol/stream.ts";
import { formatTarget } from "../protocol/stream.ts";
import { Program } from "../testing/program.ts";
import { findTool } from "../testing/requirements.ts";
import type { LineRig } from "./line_rig.ts";
import { load } from "./loads.ts";
import type { TransferEnds } from "./transfers.ts";

export interface TransportEnds extends AsyncDisposable {
  readonly name: string;
  /** What a load is given: in the near namespace a port that leads to the source. */
  readonly ends: TransferEnds;
  readonly near: Program;
  readonly far: Program;
}

/** Between which addresses: `VETH` or `LINE`. */
export interface Way {
  readonly near: string;
  readonly far: string;
}

export interface TransportOptions {
  readonly name: string;
  readonly rig: LineRig;
  readonly way: Way;
  /** In the far namespace. */
  readonly source: Target;
}

const KCPTUN = ["kcptun-client", "kcptun-server"] as const;
/** Of the issue: fast3, 2048 segments each way, no FEC, nothing packed. */
const KCPTUN_FLAGS = "--mode fast3 --sndwnd 2048 --rcvwnd 2048 --datashard 0 --parityshard 0 --nocomp --quiet".split(
  " ",
);
const KEY = "benchmark";

let lastPort = 20_000;

/** Namespaces are new, so that any port is free that was not given before. */
export function nextPort(): number {
  return ++lastPort;
}

export function hasKcptun(): boolean {
  return KCPTUN.every((tool) => findTool(tool) !== undefined);
}

export async function startKcptun(options: TransportOptions & { readonly crypt: string }): Promise<TransportEnds> {
  const { name, rig, way, source, crypt } = options;
  await using resources = new AsyncDisposableStack();
  const remote = `${way.far}:${nextPort()}`;
  const [client, server] = KCPTUN.map((tool) => findTool(tool)!);
  const both = [...KCPTUN_FLAGS, "--crypt", crypt, "--key", KEY];
  const far = ["--listen", remote, "--target", formatTarget(source), ...both];
  const farProgram = resources.use(new Program(rig.far.inside([server!, ...far]), { quiet: true }));
  const target = { host: "127.0.0.1", port: nextPort() };
  const near = ["--localaddr", formatTarget(target), "--remoteaddr", remote, ...both];
  const nearProgram = resources.use(new Program(rig.near.inside([client!, ...near]), { quiet: true }));
  const kept = resources.move();
  const ends = { target, namespace: rig.near };
  return { name, ends, near: nearProgram, far: farProgram, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export interface OurTransportOptions extends TransportOptions {
  readonly dialect: "culvert" | "kcptun" | "vtcp";
  readonly carrier: "udp" | "raw";
  /** Of the dialect `kcptun`. */
  readonly crypt?: string;
}

export async function startOurs(options: OurTransportOptions): Promise<TransportEnds> {
  const { name, rig, way, source, dialect, carrier, crypt = "none" } = options;
  await using resources = new AsyncDisposableStack();
  const flags = { dialect, carrier, crypt, host: way.far, port: nextPort(), target: formatTarget(source) };
  const far = resources.use(load("transport-far", flags, rig.far));
  const { credential } = await far.readJson();
  const target = { host: "127.0.0.1", port: nextPort() };
  const listen = { listen: formatTarget(target), credential: String(credential) };
  const near = resources.use(load("transport-near", { ...flags, ...listen }, rig.near));
  await near.readJson();
  const kept = resources.move();
  const ends = { target, namespace: rig.near };
  return { name, ends, near, far, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
