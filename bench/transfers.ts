/**
 * One stream, down or up, while something happens to what carries it: how fast it is before and afterwards.
 */

import { clockOf, delay } from "../protocol/clock.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import type { NetNamespace } from "../testing/netns.ts";
import type { Transfer, TransferDirection } from "./load/transfer.ts";
import { type Ends, load } from "./loads.ts";
import { median } from "./rounds.ts";

const SAMPLE_MS = 50;
const clock = clockOf(globalThis);

/** By a proxy or straight, from here or from a namespace. */
export interface TransferEnds {
  readonly proxy?: Target | undefined;
  readonly target: Target;
  readonly namespace?: NetNamespace;
}

export interface TransferSettings {
  readonly direction: TransferDirection;
  /** Not counted, at the beginning. */
  readonly warmMs: number;
  readonly measureMs: number;
}

/** Gbit/s of one stream, as it arrives at its end of the way. */
export async function measureTransfer(ends: TransferEnds, settings: TransferSettings): Promise<number> {
  const { warmMs, measureMs } = settings;
  const transfer = await runTransfer(ends, settings.direction, warmMs + measureMs);
  return gbitPerS(transfer, warmMs, warmMs + measureMs);
}

export interface DisturbedSettings extends TransferSettings {
  /** How long it may take to recover, once it is disturbed. */
  readonly graceMs: number;
  disturb(): Promise<void> | void;
}

/** What is left of the speed when it is disturbed in the middle of the transfer: 1 is all of it. */
export async function measureDisturbed(ends: Ends, settings: DisturbedSettings): Promise<number> {
  const { direction, warmMs, measureMs, graceMs, disturb } = settings;
  let disturbedAtMs = 0;
  const totalMs = warmMs + measureMs + graceMs + measureMs;
  const transfer = await runTransfer(ends, direction, totalMs, async () => {
    await delay(clock, warmMs + measureMs);
    disturbedAtMs = clock.wallNow();
    await disturb();
  });
  const atMs = disturbedAtMs - transfer.startedAtMs;
  return gbitPerS(transfer, atMs + graceMs, totalMs) / gbitPerS(transfer, atMs - measureMs, atMs);
}

/** Milliseconds to the first byte of an answer, one request after the other, by way of each by turns; the medians. */
export async function measureFirstBytes(
  { proxy, target }: Ends,
  { rounds, count }: { readonly rounds: number; readonly count: number },
): Promise<{ readonly proxied: number; readonly direct: number }> {
  const [proxied, straight]: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const [via, times] of [[formatTarget(proxy), proxied!], ["direct", straight!]] as const) {
      const { tookMs } = await runRequests({ proxy: via, target: formatTarget(target), count, concurrency: 1 });
      times.push(...tookMs);
    }
  }
  return { proxied: median(proxied!), direct: median(straight!) };
}

/** Requests that are all under way at once. */
export async function measureRequests(
  { proxy, target }: Ends,
  count: number,
): Promise<{ readonly p99Ms: number; readonly lost: number }> {
  const flags = { proxy: formatTarget(proxy), target: formatTarget(target), count, concurrency: count };
  const { tookMs, lost } = await runRequests(flags);
  return { p99Ms: tookMs.toSorted((a, b) => a - b)[Math.ceil(tookMs.length * 0.99) - 1] ?? Infinity, lost };
}

async function runRequests(flags: Record<string, string | number>): Promise<{ tookMs: number[]; lost: number }> {
  await using program = load("requests", flags);
  const { tookMs, lost, error } = await program.readJson(120_000) as { tookMs: number[]; lost: number; error?: string };
  if (error !== undefined) console.error(`… ${lost} requests were lost: ${error}`);
  return { tookMs, lost };
}

/** The median milliseconds of a small message there and back, on a stream that is open. */
export async function measureTrips({ target, namespace }: TransferEnds, count: number): Promise<number> {
  await using program = load("trips", { target: formatTarget(target), count }, namespace);
  const { tookMs } = await program.readJson(60_000) as { tookMs: number[] };
  return median(tookMs);
}

async function runTransfer(
  { proxy, target, namespace }: TransferEnds,
  direction: TransferDirection,
  measureMs: number,
  meanwhile: () => Promise<void> = async () => {},
): Promise<Transfer> {
  const ends = { proxy: proxy ? formatTarget(proxy) : "direct", target: formatTarget(target) };
  const flags = { ...ends, direction, "measure-ms": measureMs, "sample-ms": SAMPLE_MS };
  await using program = load("transfer", flags, namespace);
  await program.readJson();
  const [transfer] = await Promise.all([program.readJson(measureMs + 60_000), meanwhile()]);
  return transfer as unknown as Transfer;
}

function gbitPerS({ atMs, bytes }: Transfer, fromMs: number, toMs: number): number {
  const first = atMs.findIndex((ms) => ms >= fromMs);
  const last = atMs.findLastIndex((ms) => ms <= toMs + SAMPLE_MS);
  return (bytes[last]! - bytes[first]!) * 8 / (atMs[last]! - atMs[first]!) / 1e6;
}
