/** A Path whose dials are told as spans: nothing of where they lead, only how they ended. Untraced it is the Path itself. */

import type { Path } from "../protocol/stream.ts";
import type { SpanFacts, SpanName, Tracing } from "../protocol/tracing.ts";

export interface TracedDials {
  readonly name: SpanName;
  readonly facts: SpanFacts;
}

export function tracedPath(path: Path, tracing: Tracing | undefined, { name, facts }: TracedDials): Path {
  if (!tracing?.isOn) return path;
  return {
    dial: (target, options) => tracing.run(name, facts, () => path.dial(target, options)),
    ...path.datagrams && { datagrams: (options) => path.datagrams!(options) },
    close: () => path.close(),
    ...path.closed && { closed: () => path.closed!() },
    get problem() {
      return path.problem;
    },
    [Symbol.dispose]: () => path[Symbol.dispose](),
  };
}
