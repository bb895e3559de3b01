/**
 * A Path on which one name, `backend.invalid`, means a host of the operator's choice: what stands behind a server, whose
 * clients need not know where that is.
 */

import { DialError } from "../../protocol/errors.ts";
import type { Path, Target } from "../../protocol/stream.ts";
import { BACKEND_HOST } from "./gfk_dialect.ts";

export interface Backend {
  readonly host: string;
  /** Those that may be reached; none given: every one. */
  readonly ports: readonly number[];
}

/** Closing it does nothing: the Path is not its own. Datagrams to that name are not led anywhere. */
export function withBackend(path: Path, { host, ports }: Backend): Path {
  const led = (target: Target): Target => {
    if (target.host !== BACKEND_HOST) return target;
    if (ports.length > 0 && !ports.includes(target.port)) {
      throw new DialError("denied", `Port ${target.port} of the backend is not allowed`);
    }
    return { host, port: target.port };
  };
  return {
    dial: async (target, options) => await path.dial(led(target), options),
    ...(path.datagrams && { datagrams: (options) => path.datagrams!(options) }),
    close() {},
    [Symbol.dispose]() {},
  };
}
