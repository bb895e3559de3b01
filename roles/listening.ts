/**
 * What roles that listen say when they cannot.
 */

import { CulvertError, messageOf } from "../protocol/errors.ts";
import { formatTarget, type Target } from "../protocol/stream.ts";

/** Runs `listen` and turns its failure into one sentence that names the address and what to do about it. */
export function listenOn<T>(address: Target, listen: (at: { hostname: string; port: number }) => T): T {
  try {
    return listen({ hostname: address.host, port: address.port });
  } catch (error) {
    throw new CulvertError("cannot_listen", `Cannot listen on ${formatTarget(address)}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const why = whyNotListening(error);
  return error instanceof Deno.errors.AddrInUse ? `${why}; choose one with --listen` : why;
}

const LOW_PORT = "ports below 1024 are for root, or a service with AmbientCapabilities=CAP_NET_BIND_SERVICE";

/** What keeps a program from listening, by Deno's error or by Node's. */
export function whyNotListening(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (error instanceof Deno.errors.AddrInUse || code === "EADDRINUSE") return "another program has this port";
  if (error instanceof Deno.errors.AddrNotAvailable || code === "EADDRNOTAVAIL") {
    return "this machine has no such address";
  }
  if (error instanceof Deno.errors.PermissionDenied || code === "EACCES") return LOW_PORT;
  return messageOf(error);
}

/** Whether only this machine can reach an address. */
export function isLoopback(address: Target): boolean {
  return address.host === "localhost" || address.host === "::1" || /^127(\.\d{1,3}){3}$/.test(address.host);
}
