/**
 * What a failed socket call means, as a DialError. Deno names some errors by class and the rest by `code`; `code` is
 * there for all that come from the system, so that is what is read. Measured with Deno 2.9.6 against routes of each
 * kind: a closed port ECONNREFUSED, `unreachable` EHOSTUNREACH, `prohibit` EACCES, `blackhole` EINVAL (the kernel's own
 * answer), no route ENETUNREACH, no descriptors left EMFILE.
 *
 * Messages name no address: they travel back to whoever asked, who may not know where a name led.
 */

import { CulvertError, DialError, type DialFailure, dialFailureOf } from "../protocol/errors.ts";
import { isNotPermitted } from "./runtime.ts";

const MEANINGS: Readonly<Record<string, readonly [DialFailure, string]>> = {
  ECONNREFUSED: ["refused", "nothing listens there"],
  EHOSTUNREACH: ["host_unreachable", "the host does not answer"],
  EHOSTDOWN: ["host_unreachable", "the host does not answer"],
  EINVAL: ["host_unreachable", "the system has no way to that address"],
  ENETUNREACH: ["network_unreachable", "there is no route to that network"],
  ENETDOWN: ["network_unreachable", "the network is down"],
  EAFNOSUPPORT: ["network_unreachable", "this machine does not speak that address family"],
  EADDRNOTAVAIL: ["network_unreachable", "this machine has no address to reach it from"],
  ETIMEDOUT: ["timeout", "the host did not answer in time"],
  EACCES: ["denied", "this machine's routes or firewall forbid it"],
  EPERM: ["denied", "this machine's routes or firewall forbid it"],
  EMFILE: ["busy", "no file descriptors are left"],
  ENFILE: ["busy", "no file descriptors are left"],
  ENOBUFS: ["busy", "the system is out of memory for sockets"],
  ENOMEM: ["busy", "the system is out of memory for sockets"],
};

/** The DialError that anything thrown while dialling amounts to. */
export function dialErrorOf(error: unknown): DialError {
  if (error instanceof DialError) return error;
  if (error instanceof CulvertError) return new DialError(dialFailureOf(error), error.message, { cause: error });
  if (isNotPermitted(error)) {
    return new DialError("denied", "Cannot dial: this process may not open connections there", { cause: error });
  }
  const meaning = MEANINGS[(error as { code?: string } | undefined)?.code ?? ""];
  if (meaning) return new DialError(meaning[0], `Cannot dial: ${meaning[1]}`, { cause: error });
  return new DialError("failed", "Cannot dial: the connection failed", { cause: error });
}
