/**
 * What a node does when a tunnel ends: docs/node-protocol.md, "Coming back". The last one ends the node's run.
 */

import { delay } from "../../protocol/clock.ts";
import { faultOfHello } from "../../protocol/sharing/node_auth.ts";
import { ANSWER_MS, type Check, connected, demand, QUIET_MS, RETURN_MS } from "./bench.ts";
import { clock, primitives, until } from "./scripted_orchestrator.ts";

const RETRY_AFTER_MS = 3000;
const SILENT_HEARTBEAT_MS = 500;

export const returningChecks: readonly Check[] = [
  {
    name: "it comes back when the connection is lost, as the same run",
    async run(bench) {
      const before = await connected(bench);
      before.close();
      const after = await connected(bench);
      demand(after.hello!.runId === before.hello!.runId, "it says that it was started anew");
      demand(after.hello!.nonce !== before.hello!.nonce, "its nonce is the same as before");
      const fault = faultOfHello(after.hello!, after.challenge, primitives);
      demand(fault === undefined, `the hello is not good: ${fault}`);
    },
  },
  {
    name: "it comes back no sooner than it was told",
    async run(bench) {
      const { orchestrator } = bench;
      const refused = await connected(bench);
      const count = orchestrator.connections.length;
      const saidMs = clock.now();
      refused.refuse({ code: "busy", reason: "for a check", retryAfterMs: RETRY_AFTER_MS });
      const next = await orchestrator.connection(count, RETRY_AFTER_MS + RETURN_MS);
      const waitedMs = next.arrivedMs - saidMs;
      demand(waitedMs >= RETRY_AFTER_MS, `it came back after ${Math.round(waitedMs)} ms`);
    },
  },
  {
    name: "it gives up a connection that has fallen silent",
    async run({ orchestrator }) {
      const silent = orchestrator.connections.at(-1)!;
      await silent.greet();
      silent.welcome({ heartbeatMs: SILENT_HEARTBEAT_MS });
      await until(silent.changes, () => silent.isOver, "an end of the silent connection", 12 * SILENT_HEARTBEAT_MS);
    },
  },
  {
    name: "it does not speak to another orchestrator than the one it knows",
    async run({ orchestrator }) {
      const strange = await orchestrator.connection(orchestrator.connections.length, RETURN_MS);
      const another = orchestrator.connections[0]!.hello!.nodeId;
      strange.say({ ...strange.challenge, orchestratorId: another });
      await delay(clock, QUIET_MS);
      demand(!strange.hello, "it said hello to a stranger");
      strange.close();
    },
  },
  {
    name: "it ends a connection whose welcome is not signed by the orchestrator",
    async run({ orchestrator }) {
      const forged = await orchestrator.connection(orchestrator.connections.length, RETURN_MS);
      await forged.greet();
      forged.welcome({ signature: "A".repeat(86) + "==" });
      await until(forged.changes, () => forged.isOver, "an end of that connection", ANSWER_MS);
    },
  },
  {
    name: "after a refusal that only its owner can do something about, it stays away",
    async run(bench) {
      const last = await connected(bench);
      const count = bench.orchestrator.connections.length;
      last.refuse({ code: "consent_needed", reason: "for a check" });
      await delay(clock, 3 * QUIET_MS);
      demand(bench.orchestrator.connections.length === count, "it came back");
    },
  },
];
