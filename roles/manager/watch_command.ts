/**
 * `culvert manager watch`: a table of all services that is drawn anew every two seconds, with keys to act on them. A manager
 * that goes away is asked again until it is back; only one that is not there at the start is refused.
 */

import { z } from "zod";
import { orAborted } from "../../protocol/abort.ts";
import { delay, type Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { ConfigError } from "../config.ts";
import { durationMs } from "../fields.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { Asking, askingConfig, type Deed } from "./asking.ts";
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
  const asking = new Asking(settings, context);
  await asking.report();
  using watch = new Watch({ asking, context, terminal, everyMs: settings.every, paint: outputPaint() });
  await watch.run();
}

interface WatchOptions {
  readonly asking: Asking;
  readonly context: Pick<RoleContext, "clock" | "signal">;
  readonly terminal: OwnTerminal;
  readonly everyMs: number;
  readonly paint: Paint;
}

class Watch implements Disposable {
  readonly #options: WatchOptions;
  readonly #model = new WatchModel();
  readonly #screen: Screen;
  readonly #listening: Disposable;
  readonly #end = new AbortController();
  #wake = new AbortController();
  #log: AbortController | undefined;
  #soon: Timer | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
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
    const signal = AbortSignal.any([this.#options.context.signal, this.#end.signal]);
    try {
      await orAborted(Promise.race([this.#look(signal), this.#obey(signal)]), signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    this.#log?.abort();
    this.#soon?.cancel();
    this.#listening[Symbol.dispose]();
    this.#screen[Symbol.dispose]();
  }

  /** Asks and draws, again and again. */
  async #look(signal: AbortSignal): Promise<void> {
    const { asking, context: { clock }, everyMs } = this.#options;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        const report = await asking.report();
        this.#model.see(report, (await asking.stats()).stats);
      } catch {
        signal.throwIfAborted();
        this.#model.lose();
      }
      this.#draw();
      const waitMs = this.#model.isMoving ? Math.min(SOON_MS, everyMs) : everyMs;
      await delay(clock, waitMs, AbortSignal.any([signal, this.#wake.signal])).catch(() => {});
    }
  }

  async #obey(signal: AbortSignal): Promise<void> {
    for await (const keys of this.#options.terminal.keys(signal)) {
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
        return void this.#openLog(wish.name);
      case "start":
      case "stop":
      case "restart":
        return void this.#order(wish.do, wish.name);
    }
  }

  /** Never rejects. */
  async #order(deed: Deed, name: string): Promise<void> {
    try {
      await this.#options.asking.order(deed, [name]);
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
    const { asking: { places }, context: { clock } } = this.#options;
    const source = logSource(name, { logs: places.logs, backend: this.#model.report?.backend ?? places.backend });
    try {
      for await (const line of logLines(source, { lines: LOG_LINES, follow: true, clock, signal: own.signal })) {
        this.#model.addLogLine(line);
        this.#drawSoon();
      }
    } catch (error) {
      if (own.signal.aborted) return;
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
    if (this.#end.signal.aborted) return;
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
