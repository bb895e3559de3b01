/**
 * The `Date` of answers (RFC 9110 §6.6.1), written once a second: making the text costs more than all the rest of a short head.
 */

import type { Clock } from "../protocol/clock.ts";
import { formatHttpDate } from "../protocol/files/http_date.ts";

export class AnswerDate {
  readonly #clock: Clock;
  #second = NaN;
  #text = "";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get text(): string {
    const second = Math.floor(this.#clock.wallNow() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = formatHttpDate(second * 1000);
    }
    return this.#text;
  }
}
