/**
 * Clients that are all in one process: paths of one URL, each by itself and with one stream, to see what they cost
 * whoever carries them. A stream has had an answer and is idle, or asks for bulk and is never read.
 */

import { openPath } from "../../net/open.ts";
import { clockOf } from "../../protocol/clock.ts";
import { policyOf } from "../../protocol/egress_policy.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { type Path, readFull, type Target, writeAll } from "../../protocol/stream.ts";
import { BULK, REQUEST, REQUEST_BYTES } from "./source.ts";

/** Paths being opened at once. */
const CONCURRENCY = 16;

export interface PathsOptions {
  readonly url: string;
  readonly target: Target;
  readonly count: number;
  readonly isStalled: boolean;
}

export async function holdPaths({ url, target, count, isStalled }: PathsOptions): Promise<Disposable> {
  const clock = clockOf(globalThis);
  const tools = { clock, random: randomOf(crypto), log: silentLog, metrics: noMetrics, policy: policyOf() };
  const paths: Path[] = [];
  async function worker(): Promise<void> {
    while (paths.length < count) {
      const path = openPath(url, tools);
      paths.push(path);
      const stream = await path.dial(target);
      const request = new Uint8Array(isStalled ? 1 : REQUEST_BYTES);
      request[0] = isStalled ? BULK : REQUEST;
      await writeAll(stream, request);
      const answer = new Uint8Array(isStalled ? 1 : REQUEST_BYTES);
      if (!await readFull(stream, answer)) throw new Error("Cannot measure: there was no answer");
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return { [Symbol.dispose]: () => paths.forEach((path) => path.close()) };
}
