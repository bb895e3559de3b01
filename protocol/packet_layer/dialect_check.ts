/**
 * What the settings of KCP's dialects must be, in the same words for each: "Cannot speak as kcptun: mtu must be 100 to 1500".
 */

import { CulvertError } from "../errors.ts";
import { kcpModes, MAX_FAST_RESEND, MAX_KCP_WINDOW } from "../kcp/kcp_options.ts";
import { isCryptName } from "./crypt.ts";

/** What the dialects have in common; the crypt has a name of its own in each. */
export interface CommonSettings {
  readonly mode: string;
  readonly mtu: number;
  readonly sndwnd: number;
  readonly rcvwnd: number;
  readonly interval: number;
  readonly resend: number;
}

export class DialectCheck {
  readonly #dialect: string;

  constructor(dialect: string) {
    this.#dialect = dialect;
  }

  /** Throws a CulvertError `bad_option` unless it is good. */
  must(name: string, value: string | number, isGood: boolean, rule: string): void {
    if (isGood) return;
    throw new CulvertError("bad_option", `Cannot speak as ${this.#dialect}: ${name} must be ${rule}, got ${value}`);
  }

  whole(name: string, value: number, least: number, most: number): void {
    this.must(name, value, Number.isInteger(value) && value >= least && value <= most, `${least} to ${most}`);
  }

  crypt(name: string, value: string): void {
    this.must(name, value, isCryptName(value), "one that is spoken here");
  }

  common({ mode, mtu, sndwnd, rcvwnd, interval, resend }: CommonSettings): void {
    this.must("mode", mode, mode === "manual" || mode in kcpModes, "normal, fast to fast3 or manual");
    this.whole("mtu", mtu, 100, 1500);
    this.whole("sndwnd", sndwnd, 1, MAX_KCP_WINDOW);
    this.whole("rcvwnd", rcvwnd, 1, MAX_KCP_WINDOW);
    this.whole("interval", interval, 0, 5000);
    this.whole("resend", resend, 0, MAX_FAST_RESEND);
  }
}
