/**
 * Spans by OpenTelemetry's API, which Deno itself exports when it is started with OTEL_DENO=true: `protocol/tracing.ts` has
 * the names. Loaded only then.
 *
 * A span is the parent of those that begin while its work is being done, by Deno's own record of which call led to which.
 */

import { type Attributes, SpanStatusCode, trace } from "@opentelemetry/api";
import deno from "../deno.json" with { type: "json" };
import { codeOfError, type Span, type SpanFacts, type SpanName, type Tracing } from "../protocol/tracing.ts";

/** Spans of the role of that name. */
export function openTracing(role: string): Tracing {
  const tracer = trace.getTracer("culvert", deno.version);
  return {
    isOn: true,
    run<T>(name: SpanName, facts: SpanFacts, work: (span: Span) => Promise<T>): Promise<T> {
      return tracer.startActiveSpan(
        name,
        { attributes: { ...attributesOf(facts), "culvert.role": role } },
        async (span) => {
          let outcome = "ok";
          try {
            return await work({
              add: (more) => void span.setAttributes(attributesOf(more)),
              fail: (code) => void (outcome = code),
            });
          } catch (error) {
            outcome = codeOfError(error);
            throw error;
          } finally {
            span.setAttribute("culvert.outcome", outcome);
            if (outcome !== "ok") span.setStatus({ code: SpanStatusCode.ERROR, message: outcome });
            span.end();
          }
        },
      );
    },
  };
}

function attributesOf(facts: SpanFacts): Attributes {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known.map(([name, value]) => [`culvert.${name}`, value]));
}
