/**
 * Runs a node's program against the checks, one after the other, and says what holds.
 */

import { messageOf } from "../../protocol/errors.ts";
import { closeQuietly } from "../../net/close.ts";
import { type Bench, type Check, RETURN_MS } from "./bench.ts";
import { checks } from "./checks.ts";
import { ScriptedOrchestrator } from "./scripted_orchestrator.ts";
import { ConformanceTarget } from "./target.ts";

export interface Verdict {
  readonly name: string;
  readonly holds: boolean;
  /** Why it does not hold, or why the question does not arise. */
  readonly why?: string;
}

/** What a node's program is told on its command line. */
export interface NodePlaces {
  readonly url: string;
  readonly code: string;
  readonly orchestrator: string;
  readonly port: number;
  readonly closedPort: number;
}

/** Starts the node, once the places are known; what it gives ends the node when disposed. */
export type StartNode = (places: NodePlaces) => AsyncDisposable;

export interface RunOptions {
  /** How long to wait for the first connection. */
  readonly firstMs?: number;
  readonly only?: (check: Check) => boolean;
  onVerdict?(verdict: Verdict): void;
}

const CODE = "conformance-code";

export async function runChecks(start: StartNode, options: RunOptions = {}): Promise<Verdict[]> {
  await using orchestrator = new ScriptedOrchestrator();
  await using target = await ConformanceTarget.start();
  const closedPort = freePort();
  const bench: Bench = { orchestrator, target, closedPort, code: CODE, firstMs: options.firstMs ?? RETURN_MS };
  const { url, identity } = orchestrator;
  await using _node = start({ url, code: CODE, orchestrator: identity.peerId, port: target.port, closedPort });
  const verdicts: Verdict[] = [];
  for (const check of checks.filter(options.only ?? (() => true))) {
    const verdict = await judge(check, bench);
    verdicts.push(verdict);
    options.onVerdict?.(verdict);
    // There is nobody to ask the rest.
    if (orchestrator.connections.length === 0) break;
  }
  return verdicts;
}

async function judge(check: Check, bench: Bench): Promise<Verdict> {
  const { name } = check;
  try {
    const why = await check.run(bench);
    return { name, holds: true, ...(typeof why === "string" && { why }) };
  } catch (error) {
    // What the check left behind is not the next one's affair.
    bench.orchestrator.connections.at(-1)?.close();
    return { name, holds: false, why: messageOf(error) };
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    return listener.addr.port;
  } finally {
    closeQuietly(listener);
  }
}
