/**
 * What a person may type while `culvert up` runs: `kill exit-1`, `start exit-1`, `route`, `parts`.
 */

import { messageOf } from "../../protocol/errors.ts";
import { didYouMean } from "../config/names.ts";
import { quoteText } from "../escape.ts";
import type { Failures } from "./failures.ts";
import { routeLines } from "./show.ts";
import type { WatchedNetwork } from "./watched_network.ts";

const HELP = [
  "kill PART    ends a part at once, as a crash would, and tells how the next stream fares",
  "start PART   starts it again",
  "route        the way a stream takes now",
  "parts        what runs where",
];
const ROUTE_WITHIN_MS = 10_000;

export interface CommandsOptions {
  readonly network: WatchedNetwork;
  readonly failures: Pick<Failures, "kill">;
  readonly signal: AbortSignal;
  print(line: string): void;
}

/** Does what is typed until the signal aborts or nothing more comes. Never rejects. */
export async function obey(lines: AsyncIterable<string>, options: CommandsOptions): Promise<void> {
  try {
    for await (const line of lines) await obeyOne(line.trim(), options);
  } catch (error) {
    if (!options.signal.aborted) options.print(messageOf(error));
  }
}

async function obeyOne(line: string, { network, failures, print }: CommandsOptions): Promise<void> {
  const [verb = "", word = ""] = line.split(/\s+/);
  const say = (lines: readonly string[]) => lines.forEach(print);
  switch (verb) {
    case "":
      return;
    case "route": {
      const found = await network.findRoute(ROUTE_WITHIN_MS);
      return say(found ? routeLines(network, found) : ["No stream comes through."]);
    }
    case "parts":
      return say(network.lines());
    case "kill":
    case "start": {
      const part = network.names.find((name) => name === word);
      if (!part) return say([`${verb} what? ${network.names.join(", ")}`]);
      // Nobody has to wait for streams to recover before the next command, which may be what heals them.
      if (verb === "kill") return void failures.kill(part).catch((error) => print(messageOf(error)));
      return say([await network.restart(part) ? `${part} runs again.` : `${part} runs already.`]);
    }
    case "help":
      return say(HELP);
    default:
      return say([
        `No such command: ${quoteText(verb, 40)}${didYouMean(verb, ["kill", "start", "route", "parts"])}`,
        ...HELP,
      ]);
  }
}
