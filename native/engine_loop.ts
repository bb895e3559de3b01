/**
 * The Worker's side of `engine_worker.ts`: runs an engine's turns, and between two of them, when it has been woken, hears
 * what the main thread has to say.
 *
 *   turn (sleeps in the kernel) ─▶ woken n times? ─▶ let the event loop run until n messages were heard ─▶ turn …
 */

import type { Log } from "../protocol/log.ts";
import { type EngineTalk, type FromEngine, plainError, remoteLog, type ToEngine } from "./worker_messages.ts";

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
  const port = self as unknown as {
    onmessage: ((event: MessageEvent<ToEngine<Talk>>) => void) | null;
    postMessage(message: FromEngine<Talk>): void;
    close(): void;
  };
  let engine: RunningEngine<Talk> | undefined;
  let heard = 0;
  let isClosing = false;

  port.onmessage = ({ data }) => {
    heard++;
    if (data.type === "start") run(data.options, data.wakeFd);
    else if (data.type === "close") isClosing = true;
    else obey(data.id, data.command);
  };

  async function run(options: Talk["options"], wakeFd: number): Promise<void> {
    let error: unknown;
    try {
      using running = open(options, {
        wakeFd,
        log: remoteLog((line) => port.postMessage(line)),
        tell: (news) => port.postMessage({ type: "news", news }),
      });
      engine = running;
      port.postMessage({ type: "started", started: running.started });
      let expected = 0;
      while (!isClosing) {
        expected += running.turn();
        while (heard < expected && !isClosing) await eventLoopTurn();
      }
    } catch (thrown) {
      error = thrown;
    }
    port.postMessage({ type: "ended", ...error === undefined ? {} : { error: plainError(error) } });
    port.close();
  }

  function obey(id: number, command: Talk["command"]): void {
    try {
      port.postMessage({ type: "answer", id, answer: engine!.obey(command) });
    } catch (error) {
      port.postMessage({ type: "answer", id, error: plainError(error) });
    }
  }
}

/** Lets messages that have come be heard. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
