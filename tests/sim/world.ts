/**
 * What all parts of a simulation share: time, chance, the network, the trace, and who watches that nothing goes wrong.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { Log, LogFields } from "../../protocol/log.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { SlotClock } from "./clock.ts";
import { CommandAudit } from "./command_audit.ts";
import { type Program, SimNetwork } from "./network.ts";
import { cheapPrimitives } from "./primitives.ts";
import type { SimSettings } from "./settings.ts";
import { Trace } from "./trace.ts";

export class World {
  readonly settings: SimSettings;
  readonly slots: SlotClock;
  /** Of the simulation itself: it never ends. */
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly network: SimNetwork;
  readonly primitives: Primitives = cheapPrimitives;
  readonly trace: Trace;
  readonly commands: CommandAudit;

  constructor(settings: SimSettings) {
    this.settings = settings;
    this.slots = new SlotClock();
    this.clock = this.slots.program();
    this.random = new SeededRandom(settings.seed);
    this.network = new SimNetwork(this.random);
    this.trace = new Trace(this.clock);
    this.commands = new CommandAudit(this.clock, this.trace);
  }

  /** The log of one program: what matters goes into the trace. */
  logOf(name: string): Log {
    const say = (level: string) => (message: string, fields?: LogFields) =>
      this.trace.add(name, `${level}: ${message}`, fields);
    const log: Log = { debug() {}, info: say("info"), warn: say("warn"), error: say("error"), with: () => log };
    return log;
  }

  /** What a program keeps on its disk, as it sees it: all takes a moment, and a program that has ended writes no more. */
  disk<T extends object>(store: T, program: Program): T {
    // Killed meanwhile, it has been written in some runs, in others not; always in the order in which it was asked for.
    const isWrittenFirst = this.random.next() < 0.5;
    const wait = () => new Promise<void>((resolve) => void program.clock.after(0, resolve));
    return new Proxy(store, {
      get(target, name) {
        const method = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        return async (...args: unknown[]) => {
          if (!isWrittenFirst) await wait();
          const result = await method.apply(target, args);
          if (isWrittenFirst) await wait();
          return result;
        };
      },
    });
  }
}
