/**
 * Makes this machine known to a relay without its device's doing: for a client that is here already and gets another
 * relay, whose keys would be lost if the device were to shake hands anew.
 *
 *   knock ──→ relay: this may be the exit, and its NAT lets the relay in ──→ the client's own initiation comes through
 *
 * The device answers that as it answers every other, and sends to where its client has last spoken from. Knocks may be lost,
 * and the client may take its time, so each is repeated for a few seconds.
 */

import type { Clock, Timer } from "../../../protocol/clock.ts";
import { messageOf } from "../../../protocol/errors.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Random } from "../../../protocol/random.ts";
import { makeKnock } from "../../../protocol/wireguard/knock.ts";
import type { Endpoint, Key } from "../../../protocol/wireguard/settings.ts";
import { type OpenProbePort, openProbePort, type ProbePort } from "../../packets/probe_port.ts";

const AGAIN_AFTER_MS = [50, 150, 400, 1_000, 2_500, 5_000];
/** Of clients at once; those beyond shake hands anew. */
const MAX_TIMERS = 6_000;

export interface RelayKnocksOptions {
  /** The device's. */
  readonly listenPort: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly openPort?: OpenProbePort;
}

export class RelayKnocks implements AsyncDisposable {
  readonly #options: RelayKnocksOptions;
  readonly #timers = new Set<Timer>();
  #port: ProbePort | undefined;
  #cannotOpen = false;

  constructor(options: RelayKnocksOptions) {
    this.#options = options;
  }

  /** Knocks for that client at its relay; false: it cannot be done here. */
  knock({ key, relayAt }: { readonly key: Key; readonly relayAt: Endpoint }): boolean {
    const { clock, random } = this.#options;
    const port = this.#open();
    if (!port || this.#timers.size > MAX_TIMERS) return false;
    const send = () => void port.send(makeKnock(key, random), relayAt);
    send();
    for (const afterMs of AGAIN_AFTER_MS) {
      const timer = clock.after(afterMs, () => {
        this.#timers.delete(timer);
        send();
      });
      this.#timers.add(timer);
    }
    return true;
  }

  /** With the first: most exits never need it. */
  #open(): ProbePort | undefined {
    if (this.#port || this.#cannotOpen) return this.#port;
    const { listenPort, log, openPort = openProbePort } = this.#options;
    try {
      return this.#port = openPort({ port: listenPort, onDatagram() {} });
    } catch (error) {
      this.#cannotOpen = true;
      log.warn("A client that gets another relay loses packets: there is no raw socket to knock with", {
        error: messageOf(error),
      });
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    await this.#port?.[Symbol.asyncDispose]();
  }
}
