/**
 * Asking a Path whether its data path works: not whether a port listens somewhere, but whether bytes go all the way
 * out and come back. The default asks `hello.culvert`, the page that every egress answers by itself, for one byte.
 */

import { DialError } from "../protocol/errors.ts";
import { formatTarget, type Path, type Target, writeAll } from "../protocol/stream.ts";
import { abortable } from "./abortable.ts";

/** Settles if the path works and rejects if not. Has to give up when the signal aborts. */
export type Probe = (path: Path, signal: AbortSignal) => Promise<void>;

export const HELLO: Target = { host: "hello.culvert", port: 80 };

/** A probe that makes a small HTTP request of `target` and waits for the first byte of its answer. */
export function httpProbe(target: Target = HELLO): Probe {
  const request = new TextEncoder().encode(
    `HEAD / HTTP/1.1\r\nhost: ${formatTarget(target)}\r\nconnection: close\r\n\r\n`,
  );
  return async (path, signal) => {
    using stream = await abortable(() => path.dial(target, { signal }), signal);
    const onAbort = () => stream.close();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await writeAll(stream, request);
      const count = await stream.read(new Uint8Array(1));
      if (count === null) throw new DialError("failed", `Cannot probe ${formatTarget(target)}: it closed unanswered`);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  };
}
