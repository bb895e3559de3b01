/**
 * Whether spans go anywhere: Deno exports them when its own switch is on, OTEL_DENO=true. Only then is OpenTelemetry loaded.
 */

import type { Log } from "../protocol/log.ts";
import { noTracing, type Tracing } from "../protocol/tracing.ts";

export interface TracingSwitch {
  env(name: string): string | undefined;
  readonly log: Log;
}

export async function tracingOf(role: string, { env, log }: TracingSwitch): Promise<Tracing> {
  if (!isTraced(env)) return noTracing;
  if (env("OTEL_PROPAGATORS") !== "none") {
    log.warn(
      "Deno tells whoever this process asks by HTTP the ids of its traces; OTEL_PROPAGATORS=none keeps them here",
    );
  }
  return (await import("./tracing.ts")).openTracing(role);
}

/** As Deno reads it. */
export function isTraced(env: TracingSwitch["env"]): boolean {
  return env("OTEL_DENO") === "true" || env("OTEL_DENO") === "1";
}
