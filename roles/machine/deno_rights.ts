/**
 * What a role is asked for that Deno has to allow. An executable of one role is made with the least it needs, so that some of
 * what it can be asked for is not granted: that is told at the start, with what to do about it, and not when it fails.
 *
 * What the system has to allow is told by `privileges.ts`.
 */

import { ConfigError } from "../config.ts";
import { type OwnExecutable, ownExecutable } from "./own_executable.ts";

/** `all` is what only --allow-all gives, such as files below /proc; `libc` the kernel by foreign functions. */
export type DenoRight = "all" | "libc";

export interface Asked {
  readonly role: string;
  /** As it was asked for: "--tun". */
  readonly what: string;
  readonly right: DenoRight;
}

/** Throws a ConfigError. */
export function requireDenoRight(asked: Asked): void {
  const problem = lackOfDenoRight(asked);
  if (problem !== undefined) throw new ConfigError(`start ${asked.role}`, [problem]);
}

/** What is missing, and what to do about it. */
export function lackOfDenoRight({ role, what, right }: Asked): string | undefined {
  return needed[right].every(isGranted) ? undefined : lackText({ role, what }, ownExecutable());
}

export function lackText({ role, what }: Pick<Asked, "role" | "what">, executable: OwnExecutable | undefined): string {
  if (executable === undefined) return `Deno was started without the right to ${what}; start it with -A`;
  const command = `deno task ${executable.madeBy} ${role} --allow-all`;
  return `this executable was made without the right to ${what}; make one by ${command}`;
}

const needed: Readonly<Record<DenoRight, readonly Deno.PermissionDescriptor[]>> = {
  all: (["read", "write", "net", "env", "sys", "run", "ffi"] as const).map((name) => ({ name })),
  libc: [{ name: "ffi", path: "libc.so.6" }],
};

function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}
