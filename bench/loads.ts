/**
 * The benchmark's side of `load.ts`: starts the generators as processes of their own and reads what they measured.
 */

import { dirname, fromFileUrl, join } from "@std/path";
import { clockOf, delay } from "../protocol/clock.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import type { NetNamespace } from "../testing/netns.ts";
import { listenAddress, Program } from "../testing/program.ts";
import { findTool } from "../testing/requirements.ts";

export const ROOT = dirname(dirname(fromFileUrl(import.meta.url)));

export interface Ends {
  readonly proxy: Target;
  readonly target: Target;
}

/** Of loads that can also connect to the target itself, or tell a proxy who they are. */
export interface LoginEnds {
  readonly proxy: Target | "direct";
  readonly target: Target;
  /** `user:password`, where the proxy asks. */
  readonly login?: string;
}

export interface BulkSettings {
  /** Default 1. */
  readonly streams?: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

/** Our own code in a process of its own: `deno run` with a file of this repository, or as what another command runs. */
export function denoProgram(file: string, args: readonly string[], within: readonly string[] = []): Program {
  return new Program([...within, ...denoCommand(file, args)] as [string, ...string[]]);
}

/** What has another command run on one core; nothing where there is no such tool: then the system chooses. */
export function onCore(core: number): string[] {
  const taskset = findTool("taskset");
  return taskset ? [taskset, "-c", `${core}`] : [];
}

/** The same with an inspector, whose greetings are not shown; with them goes what else it says of errors. */
export function inspectedProgram(
  file: string,
  args: readonly string[],
  { inspectorPort, within = [] }: { readonly inspectorPort: number; readonly within?: readonly string[] },
): Program {
  const command = denoCommand(file, args, [`--inspect=127.0.0.1:${inspectorPort}`]);
  return new Program([...within, ...command] as [string, ...string[]], { quiet: true });
}

function denoCommand(file: string, args: readonly string[], flags: readonly string[] = []): [string, ...string[]] {
  const config = join(ROOT, "deno.json");
  return [Deno.execPath(), "run", "-A", ...flags, "--frozen", "--config", config, join(ROOT, file), ...args];
}

/** What stands behind the proxies; dispose the program to stop it. */
export async function startSource(): Promise<{ program: Program; target: Target }> {
  const program = load("source", {});
  return { program, target: listenAddress(await program.readJson()) };
}

/** A relay in front of a target that delays each way; dispose the program to stop it. */
export async function startRelay(to: Target, delayMs: number): Promise<{ program: Program; address: Target }> {
  const program = load("relay", { to: formatTarget(to), "delay-ms": delayMs });
  return { program, address: listenAddress(await program.readJson()) };
}

/** Gbit/s of a bulk download, and how evenly several streams shared it. */
export async function measureBulk(
  ends: LoginEnds,
  settings: BulkSettings,
): Promise<{ gbitPerS: number; maxOverMin: number }> {
  const { streams = 1, warmMs, measureMs } = settings;
  await using program = load("bulk", { ...flagsOf(ends), streams, "warm-ms": warmMs, "measure-ms": measureMs });
  const { gbitPerS, maxOverMin } = await program.readJson(warmMs + measureMs + 60_000);
  return { gbitPerS: Number(gbitPerS), maxOverMin: Number(maxOverMin) };
}

/** Connections per second: connect, 1 KiB each way, close. */
export async function measureConnections(
  ends: LoginEnds,
  settings: { readonly concurrency: number; readonly warmMs: number; readonly measureMs: number },
): Promise<number> {
  const { concurrency, warmMs, measureMs } = settings;
  const flags = { ...flagsOf(ends), concurrency, "warm-ms": warmMs, "measure-ms": measureMs };
  await using program = load("connections", flags);
  return Number((await program.readJson(warmMs + measureMs + 60_000)).connectionsPerS);
}

/** Enough ports for a round; dante, which binds before it connects, can use none that waits. */
const MOST_WAITING_PORTS = 18_000;

/** Waits until most ports that past connections hold are free again: a minute after the last, at the most. */
export async function portsToReturn(): Promise<void> {
  for (;;) {
    const stat = await Deno.readTextFile("/proc/net/sockstat");
    if (Number(/^TCP:.* tw (\d+)/m.exec(stat)?.[1] ?? 0) <= MOST_WAITING_PORTS) return;
    await delay(clockOf(globalThis), 500);
  }
}

/** Holds idle connections until disposed; settles once all are open. */
export async function holdIdle(ends: Ends, count: number): Promise<Program> {
  const program = load("idle", { ...flagsOf(ends), count });
  await program.readJson(60_000);
  return program;
}

/** Holds a connection that asks for bulk and reads none of it. */
export async function holdStalled(ends: Ends): Promise<Program> {
  const program = load("stalled", flagsOf(ends));
  await program.readJson();
  return program;
}

/** A load generator, here or in a namespace, by itself or as what another command runs (`taskset -c 1`). */
export function load(
  command: string,
  flags: Readonly<Record<string, string | number>>,
  namespace?: NetNamespace,
  within: readonly string[] = [],
): Program {
  // In one word each: a value such as a key may begin with a dash.
  const args = [command, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)];
  const line = [...within, ...denoCommand("bench/load.ts", args)] as [string, ...string[]];
  return new Program(namespace ? namespace.inside(line) : line);
}

function flagsOf({ proxy, target, login }: LoginEnds): Record<string, string> {
  const ends = { proxy: proxy === "direct" ? proxy : formatTarget(proxy), target: formatTarget(target) };
  return login === undefined ? ends : { ...ends, login };
}
