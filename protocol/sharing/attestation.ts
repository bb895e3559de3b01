/**
 * What a node's claims about its machine are worth: a factor from 0 to 1 that lowers how often it is chosen, never raises
 * it. Claims prove nothing, so honest ones gain nothing; but an emulator on a rented server seldom troubles to hide.
 *
 * `AttestationHook` is where a platform's own attestation (Play Integrity, for one) is asked; none is built in, since
 * each needs an account with its maker.
 */

import type { DeviceInfo } from "./records.ts";

export interface Trust {
  /** 1: nothing speaks against it. */
  readonly factor: number;
  /** What speaks against it, as sentences for admins. */
  readonly reasons: readonly string[];
}

export interface DeviceClaims {
  readonly nodeId: string;
  readonly info: DeviceInfo;
  readonly address: string;
  /** The address is a datacentre's, as far as is known. */
  readonly isHosting: boolean | undefined;
}

/** Asks whoever can tell about the device's attestation; undefined when nothing can be said. Must not hold up a node. */
export type AttestationHook = (claims: DeviceClaims) => Promise<Trust | undefined>;

/** What emulators of Android call themselves in their models and systems. */
const EMULATOR =
  /\b(?:sdk_gphone\w*|google_sdk|emulator|android sdk|generic(?:_x86\w*)?|goldfish|ranchu|vbox\w*|genymotion|bluestacks|nox|memu)\b/i;

interface Sign {
  readonly factor: number;
  readonly reason: string;
  holds(claims: DeviceClaims): boolean;
}

const signs: readonly Sign[] = [
  {
    factor: 0.2,
    reason: "Its model or system is that of an emulator",
    holds: ({ info }) => info.kind === "android" && EMULATOR.test(`${info.model ?? ""} ${info.os ?? ""}`),
  },
  {
    factor: 0.5,
    reason: "It says that it is a phone, and comes from a datacentre",
    holds: ({ info, isHosting }) => info.kind === "android" && isHosting === true,
  },
  {
    factor: 0.7,
    reason: "It says that it is a phone, and has no battery",
    holds: ({ info }) => info.kind === "android" && info.battery === undefined,
  },
  {
    factor: 0.8,
    reason: "It says that it is a phone, and has more than 32 cores",
    holds: ({ info }) => info.kind === "android" && (info.cores ?? 0) > 32,
  },
];

/** What can be told from the claims alone. */
export function trustOf(claims: DeviceClaims): Trust {
  const against = signs.filter((sign) => sign.holds(claims));
  return {
    factor: against.reduce((factor, sign) => factor * sign.factor, 1),
    reasons: against.map(({ reason }) => reason),
  };
}

/** Both together. */
export function lowest(own: Trust, other: Trust | undefined): Trust {
  if (!other) return own;
  return { factor: own.factor * Math.min(1, Math.max(0, other.factor)), reasons: [...own.reasons, ...other.reasons] };
}
