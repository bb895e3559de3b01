/**
 * `culvert health`: whether a role that runs on this machine can do its work, for whoever keeps containers: exit code 0 if it
 * can, 1 if not. It asks `/readyz` where the role's own `--metrics-listen` is, of which the setting is one and the same.
 */

import { z } from "zod";
import { deadline } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";
import { listenAddress } from "./fields.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";

const ANSWER_MS = 4000;

const config = z.object({
  metricsListen: listenAddress("127.0.0.1:9090").describe("Where the role serves /readyz, as it was told."),
});

const readiness = z.object({ ready: z.boolean(), failing: z.record(z.string(), z.string()) });
type Readiness = z.output<typeof readiness>;

export const role: Role<typeof config> = defineRole({
  name: "health",
  summary: "Whether a role that runs here can do its work: exit code 0, or 1 and why not.",
  config,
  longRunning: false,
  examples: ["culvert health", "culvert health --metrics-listen 127.0.0.1:9091 --json"],
  async run({ metricsListen }, context) {
    const found = await askReadiness(metricsListen, context);
    if (context.json) context.print(JSON.stringify(found));
    else if (found.ready) context.print("ready");
    if (!found.ready) throw new CulvertError("not_ready", `Cannot do its work: ${reasonOf(found)}`);
  },
});

/** Never by way of HTTP_PROXY, which the environment of a container may have: "by TCP, there" comes before it. */
async function askReadiness({ host, port }: Target, { clock, signal }: RoleContext): Promise<Readiness> {
  const address = formatTarget({ host, port });
  using client = Deno.createHttpClient({ proxy: { transport: "tcp", hostname: host, port } });
  using limit = deadline(clock, ANSWER_MS, "ask a role how it is", signal);
  try {
    const response = await fetch(`http://${address}/readyz`, { signal: limit.signal, client });
    return readiness.parse(await response.json());
  } catch (error) {
    throw new CulvertError(
      "not_running",
      `Cannot ask a role how it is: none with --metrics-listen ${address} answers (${messageOf(error)})`,
      { cause: error },
    );
  }
}

function reasonOf({ failing }: Readiness): string {
  return Object.entries(failing).map(([name, why]) => `${name}: ${why}`).join("; ") || "it is about to stop";
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
