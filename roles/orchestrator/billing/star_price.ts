/** `--star-price`: what one of Telegram's Stars is worth in the orchestrator's money. Above nothing, or Stars would buy none. */

import { z } from "zod";
import { type Micros, parseMicros } from "../../../protocol/sharing/money.ts";

/** What Telegram pays bots for a Star, in USD. */
const DEFAULT = "0.013";

export function starPrice(): z.ZodType<Micros> {
  return z.string().meta({ placeholder: "amount", defaultText: DEFAULT }).default(DEFAULT).transform(
    (text, context) => {
      const micros = parseMicros(text);
      if (micros !== undefined && micros > 0n) return micros;
      context.issues.push({ code: "custom", message: "a decimal above 0 such as 0.013", input: text });
      return z.NEVER;
    },
  ).describe("What a Star of Telegram's is worth in --currency.");
}
