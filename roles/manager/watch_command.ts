/**
 * `culvert manager watch`: a table of all services that is drawn anew every two seconds, with keys to act on them. A manager
 * that goes away is asked again until it is back; only one that is not there at the start is refused.
 */

import { z } from "zod";
import { delay, type Timer } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { ConfigError } from "../config.ts";
import { durationMs } from "../fields.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { Asking, askingConfig, type AskingContext, type Deed } from "./asking.ts";
import { logLines, logSource } from "./log_source.ts";
import { liveTable } from "./live_table.ts";
import { Screen } from "./screen.ts";
import { outputPaint, type Paint } from "./styles.ts";
import { type OwnTerminal, ownTerminal } from "./terminal.ts";
import { WatchModel, type Wish } from "./watch_model.ts";

/** While something starts or stops. */
const SOON_MS = 500;
const LOG_LINES = 200;
/** Lines of a log that come within it are drawn together. */
const BURST_MS = 50;

const config = z.object({
  every: durationMs("2s", { minMs: 200, maxMs: 3_600_000 }).describe("How often to look."),
  ...askingConfig,
});
type Settings = z.output<typeof config>;

export const watchRole: Role<typeof config> = defineRole({
  name: "manager-watch",
  summary: "A live table of all services, with keys to start, stop and restart them.",
  config,
  examples: ["culvert manager watch", "culvert manager watch --every 500ms"],
  longRunning: false,
  run: (config, context) => runWatch(config, context, ownTerminal(context.clock)),
});

/** Until a key or a signal ends it. */
export async function runWatch(settings: Settings, context: RoleContext, terminal: OwnTerminal): Promise<void> {
  if (!terminal.isThere) {
    throw new ConfigError("run manager-watch", [
      "its input and output must be a terminal; elsewhere there is culvert manager stats",
    ]);
  }
  await new Asking(settings, context).report();
  using watch = new Watch({ settings, context, terminal, paint: outputPaint() });
  await watch.run();
}

interface WatchOptions {
  readonly settings: Settings;
  readonly context: AskingContext;
  readonly terminal: OwnTerminal;
  readonly paint: Paint;
}

class Watch implements Disposable {
  readonly #options: WatchOptions;
  readonly #model = new WatchModel();
  readonly #screen: Screen;
  readonly #listening: Disposable;
  readonly #asking: Asking;
  readonly #end = new AbortController();
  /** Aborted at the end, however that comes. */
  readonly #signal: AbortSignal;
  /** What was begun by keys. */
  readonly #begun = new Set<Promise<void>>();
  #wake = new AbortController();
  #log: AbortController | undefined;
  #soon: Timer | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.context.signal, this.#end.signal]);
    this.#asking = new Asking(options.settings, { ...options.context, signal: this.#signal });
    this.#screen = new Screen(options.terminal);
    this.#listening = options.terminal.listen({
      onResize: () => {
        this.#screen.forget();
        this.#draw();
      },
      onSuspend: () => this.#suspend(),
      onContinue: () => this.#resume(),
      onHangUp: () => this.#end.abort(),
      onExit: () => this.#screen.suspend(),
    });
  }

  async run(): Promise<void> {
    const work = [this.#look(), this.#obey()];
    try {
      await Promise.race(work);
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    } finally {
      this.#end.abort(new CulvertError("stopped", "The watch is over"));
      this.#screen.suspend();
      await Promise.allSettled([...work, ...this.#begun]);
    }
  }

  [Symbol.dispose](): void {
    this.#soon?.cancel();
    this.#listening[Symbol.dispose]();
    this.#screen[Symbol.dispose]();
  }

  /** Asks and draws, again and again. */
  async #look(): Promise<void> {
    const { context: { clock }, settings: { every } } = this.#options;
    while (!this.#signal.aborted) {
      this.#wake = new AbortController();
      try {
        const report = await this.#asking.report();
        this.#model.see(report, (await this.#asking.stats()).stats);
      } catch {
        this.#signal.throwIfAborted();
        this.#model.lose();
      }
      this.#draw();
      const waitMs = this.#model.isMoving ? Math.min(SOON_MS, every) : every;
      await delay(clock, waitMs, AbortSignal.any([this.#signal, this.#wake.signal])).catch(() => {});
    }
  }

  async #obey(): Promise<void> {
    for await (const keys of this.#options.terminal.keys(this.#signal)) {
      for (const key of keys) {
        const wish = this.#model.press(key);
        if (wish?.do === "quit") return;
        if (wish) this.#fulfil(wish);
      }
      this.#draw();
    }
  }

  #fulfil(wish: Exclude<Wish, { do: "quit" }>): void {
    switch (wish.do) {
      case "suspend":
        return this.#suspend();
      case "redraw":
        return this.#screen.forget();
      case "close-log":
        return this.#log?.abort();
      case "open-log":
        return this.#begin(this.#openLog(wish.name));
      case "start":
      case "stop":
      case "restart":
        return this.#begin(this.#order(wish.do, wish.name));
    }
  }

  /** Of something that never rejects. */
  #begin(work: Promise<void>): void {
    const one = work.finally(() => this.#begun.delete(one));
    this.#begun.add(one);
  }

  /** Never rejects. */
  async #order(deed: Deed, name: string): Promise<void> {
    try {
      await this.#asking.order(deed, [name]);
      this.#model.say({ text: `${deed} ${name}: the manager sees to it` });
    } catch (error) {
      this.#model.say({ text: messageOf(error), style: "bad" });
    }
    this.#wake.abort();
  }

  /** Never rejects. */
  async #openLog(name: string): Promise<void> {
    this.#log?.abort();
    const own = this.#log = new AbortController();
    const { places } = this.#asking;
    const { clock } = this.#options.context;
    const signal = AbortSignal.any([this.#signal, own.signal]);
    const source = logSource(name, { logs: places.logs, backend: this.#model.report?.backend ?? places.backend });
    try {
      for await (const line of logLines(source, { lines: LOG_LINES, follow: true, clock, signal })) {
        // Another log may be shown by now.
        if (signal.aborted) return;
        this.#model.addLogLine(line);
        this.#drawSoon();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#model.addLogLine(messageOf(error));
      this.#draw();
    }
  }

  #suspend(): void {
    this.#screen.suspend();
    // Where nobody could continue us, we go on at once.
    if (!this.#options.terminal.stop()) this.#resume();
  }

  #resume(): void {
    if (this.#signal.aborted) return;
    this.#screen.resume();
    this.#draw();
  }

  /** For what comes in bursts. */
  #drawSoon(): void {
    this.#soon ??= this.#options.context.clock.after(BURST_MS, () => {
      this.#soon = undefined;
      this.#draw();
    });
  }

  #draw(): void {
    this.#screen.draw(liveTable(this.#model, { ...this.#screen.size, paint: this.#options.paint }));
  }
}
