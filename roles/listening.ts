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
  if (error instanceof Deno.errors.AddrInUse) return "another program has this port; choose one with --listen";
  if (error instanceof Deno.errors.AddrNotAvailable) return "this machine has no such address";
  if (error instanceof Deno.errors.PermissionDenied) return "ports below 1024 are for root";
  return messageOf(error);
}

/** Whether only this machine can reach an address. */
export function isLoopback(address: Target): boolean {
  return address.host === "localhost" || address.host === "::1" || /^127(\.\d{1,3}){3}$/.test(address.host);
}
