/**
 * The Worker's side of `engine_worker.ts`: runs an engine's turns, and between two of them, when it has been woken, hears
 * what the main thread has to say.
 *
 *   turn (sleeps in the kernel) ─▶ woken n times? ─▶ let the event loop run until n messages were heard ─▶ turn …
 */

import type { Log } from "../protocol/log.ts";
import { EnginePort } from "./engine_port.ts";
import type { EngineTalk } from "./worker_messages.ts";

export interface RunningEngine<Talk extends EngineTalk> extends Disposable {
  /** What the main thread is told of it. */
  readonly started: Talk["started"];
  /** Waits for something to do and does it; gives how often it was woken. Throws when it cannot go on. */
  turn(): number;
  /** Between two turns. */
  obey(command: Talk["command"]): Talk["answer"];
}

export interface EngineSurroundings<Talk extends EngineTalk> {
  /** The eventfd that ends a turn. */
  readonly wakeFd: number;
  readonly log: Log;
  tell(news: Talk["news"]): void;
}

/** The whole of a Worker's module: opens the engine when it is told to, and runs it to its end. */
export function runEngine<Talk extends EngineTalk>(
  open: (options: Talk["options"], surroundings: EngineSurroundings<Talk>) => RunningEngine<Talk>,
): void {
  let engine: RunningEngine<Talk> | undefined;
  let heard = 0;
  let isClosing = false;
  const port = new EnginePort<Talk>({
    heard: () => heard++,
    start: (options, wakeFd) => void run(options, wakeFd),
    close: () => isClosing = true,
    obey: (command) => engine!.obey(command),
  });

  async function run(options: Talk["options"], wakeFd: number): Promise<void> {
    let error: unknown;
    try {
      using running = open(options, { wakeFd, log: port.log, tell: (news) => port.tell(news) });
      engine = running;
      port.started(running.started);
      let expected = 0;
      while (!isClosing) {
        expected += running.turn();
        while (heard < expected && !isClosing) await eventLoopTurn();
      }
    } catch (thrown) {
      error = thrown;
    }
    port.ended(error);
  }
}

/** Lets messages that have come be heard. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
