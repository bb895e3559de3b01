/**
 * How starting, stopping and restarting gets on, for whoever waits: one line that is drawn again and again on a terminal,
 * and one that stays for each service that is done.
 *
 *   kcp     runs, pid 4711
 *   paqet starting 3s · xray stopping 1s
 */

import type { ServiceReport } from "../../protocol/manager/report.ts";
import { escapeText } from "../escape.ts";
import type { Screen } from "../files/progress.ts";
import type { RoleContext } from "../role.ts";
import { spanText } from "../table.ts";
import type { Deed } from "./asking.ts";
import type { Outcome } from "./deed_outcome.ts";
import { cutText } from "./styled_table.ts";
import { outputPaint, type Paint } from "./styles.ts";

export interface DeedProgressOptions {
  readonly screen: Screen;
  readonly context: Pick<RoleContext, "json" | "print">;
  readonly paint?: Paint;
}

export class DeedProgress implements Disposable {
  readonly #options: DeedProgressOptions;
  readonly #paint: Paint;
  readonly #deed: Deed;
  readonly #nameWidth: number;
  #isDrawn = false;

  constructor(deed: Deed, services: readonly ServiceReport[], options: DeedProgressOptions) {
    this.#options = options;
    this.#paint = options.paint ?? outputPaint();
    this.#deed = deed;
    this.#nameWidth = Math.max(0, ...services.map(({ name }) => name.length));
  }

  /** One that is done. */
  tell({ name, isGood, text }: Outcome & { readonly name: string }): void {
    const { json, print } = this.#options.context;
    if (json) return;
    this.#clear();
    print(`${name.padEnd(this.#nameWidth)}  ${this.#paint(escapeText(text), isGood ? "good" : "bad")}`);
  }

  /** Those that are under way. Nothing where nobody looks. */
  show(services: readonly ServiceReport[], nowMs: number): void {
    const { screen, context } = this.#options;
    if (context.json || !screen.isTerminal) return;
    const texts = services.map((service) => `${service.name} ${this.#stateText(service, nowMs)}`);
    // The last column is left free: some terminals go to the next line when it is written to.
    screen.write(`\r${cutText(texts.join(" · "), screen.columns - 1)}\x1b[K`);
    this.#isDrawn = true;
  }

  [Symbol.dispose](): void {
    this.#clear();
  }

  #stateText({ state, sinceMs }: ServiceReport, nowMs: number): string {
    const isUnderWay = state === "starting" || state === "stopping";
    return isUnderWay ? `${state} ${spanText(Math.max(1000, nowMs - sinceMs))}` : `waits to ${this.#deed}`;
  }

  #clear(): void {
    if (this.#isDrawn) this.#options.screen.write("\r\x1b[K");
    this.#isDrawn = false;
  }
}
