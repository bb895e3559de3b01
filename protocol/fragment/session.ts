/**
 * A reliable, ordered channel of bytes in both directions over unreliable legs, as a pure machine.
 */

import type { FragmentEvents, FragmentSessionOptions, FragmentSessionStats } from "./session_types.ts";

export type * from "./session_types.ts";

export class FragmentSession {
  constructor(_options: FragmentSessionOptions, _events: FragmentEvents, _nowMs: number) {}

  /** There may be bytes to fill. */
  wake(): void {}

  /** Takes a fragment that came on a leg; `fragment` is left as it is. */
  receive(_leg: number, _fragment: Uint8Array, _nowMs: number): void {}

  /** Puts fragments for that leg, `length u16 | fragment` each, at the start of `into`; 0 when there is nothing now. */
  pull(_leg: number, _into: Uint8Array, _nowMs: number): number {
    return 0;
  }

  /** Does what time has made due. */
  tick(_nowMs: number): void {}

  /** When `tick` should be called at the latest; Infinity for never, as things stand. */
  get nextTickMs(): number {
    return Infinity;
  }

  /** All that was filled has arrived. */
  get isIdle(): boolean {
    return true;
  }

  /**
   * These legs from now on. `relays` names the relay of each. The number of a leg that is new must be above all before
   * it: numbers are never used again.
   */
  setLegs(
    _legs: { readonly send: readonly number[]; readonly receive: readonly number[] },
    _relays: ReadonlyMap<number, string>,
  ): void {}

  /** Its socket is gone: nothing more goes there until it is pulled again. */
  failLeg(_leg: number): void {}

  /** Nothing is carried any more; what the legs are pulled from now on says goodbye. */
  close(): void {}

  stats(): FragmentSessionStats {
    throw new Error("not yet");
  }
}
