/**
 * What units say by sd_notify, as systemd tells it: it takes their datagrams itself, and a unit of `Type=notify` is active
 * once it is ready. So those that are starting are looked at, all by one program, until each is ready or has ended.
 *
 * What one says later (STATUS=) is not looked for, and whether it hangs is systemd's to see.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { MAX_STATUS_LENGTH } from "../../protocol/manager/notify_text.ts";
import type { Service } from "../../protocol/manager/service.ts";
import type { UnitState } from "../../protocol/manager/unit_state.ts";
import { unitNameOf } from "../../protocol/manager/unit_text.ts";
import type { Notices, RunnerEvents } from "./runner.ts";
import type { Systemctl } from "./systemctl.ts";

const LOOK_MS = 100;

export interface UnitNoticesOptions {
  readonly clock: Clock;
  readonly events: RunnerEvents;
  readonly systemctl: Systemctl;
}

export class UnitNotices implements AsyncDisposable {
  readonly #options: UnitNoticesOptions;
  readonly #notices = new Map<string, Notices>();
  /** Units that are not ready yet, by the names of their services. */
  readonly #starting = new Map<string, { readonly invocation: string }>();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: UnitNoticesOptions) {
    this.#options = options;
  }

  of(serviceName: string): Notices {
    return this.#notices.get(serviceName) ?? {};
  }

  /** From now on, until it is ready or has ended. `state`: as it is known to be. */
  watch({ name, notifies }: Service, state: UnitState): void {
    if (!notifies) return;
    this.#starting.set(name, { invocation: state.invocation });
    this.#take(name, state);
    this.#lookLater();
  }

  forget(serviceName: string): void {
    this.#starting.delete(serviceName);
    this.#notices.delete(serviceName);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#starting.clear();
    this.#timer?.cancel();
    await this.#looking;
  }

  #lookLater(): void {
    if (this.#starting.size === 0 || this.#timer || this.#looking || this.#isClosed) return;
    this.#timer = this.#options.clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
        this.#lookLater();
      });
    });
  }

  async #look(): Promise<void> {
    const names = [...this.#starting.keys()];
    // What cannot be known now may be known the next time; the service machine has a limit for the start.
    const states = await this.#options.systemctl.show(names.map((name) => unitNameOf(name))).catch(() => undefined);
    for (const name of names) {
      const state = states?.get(unitNameOf(name));
      if (state) this.#take(name, state);
    }
  }

  #take(name: string, { active, invocation, statusText }: UnitState): void {
    const watched = this.#starting.get(name);
    if (!watched) return;
    const isSame = invocation === watched.invocation;
    if (isSame && active === "activating") return;
    this.#starting.delete(name);
    if (!isSame || active !== "active") return;
    const status = statusText.replaceAll(/\p{C}+/gu, " ").slice(0, MAX_STATUS_LENGTH);
    this.#notices.set(name, { readyAtMs: this.#options.clock.now(), ...status !== "" && { status } });
    this.#options.events.onNotice(name);
  }
}
