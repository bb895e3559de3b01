/**
 * The Worker's side of `engine_worker.ts` for engines that wait by promises instead of in the kernel: packet carriers, which
 * poll on another thread. Commands are heard whenever the event loop runs.
 */

import type { Log } from "../protocol/log.ts";
import { EnginePort } from "./engine_port.ts";
import type { EngineTalk } from "./worker_messages.ts";

export interface AsyncEngine<Talk extends EngineTalk> extends AsyncDisposable {
  /** What the main thread is told of it. */
  readonly started: Talk["started"];
  /** Settles when it cannot go on, with the reason. */
  readonly failed: Promise<unknown>;
  obey(command: Talk["command"]): Talk["answer"];
}

export interface AsyncEngineSurroundings<Talk extends EngineTalk> {
  readonly log: Log;
  tell(news: Talk["news"]): void;
}

/** The whole of a Worker's module: opens the engine when it is told to, and lets it run to its end. */
export function runAsyncEngine<Talk extends EngineTalk>(
  open: (options: Talk["options"], surroundings: AsyncEngineSurroundings<Talk>) => Promise<AsyncEngine<Talk>>,
): void {
  let engine: AsyncEngine<Talk> | undefined;
  const closing = Promise.withResolvers<undefined>();
  const port = new EnginePort<Talk>({
    start: (options) => void run(options),
    close: () => closing.resolve(undefined),
    obey: (command) => engine!.obey(command),
  });

  async function run(options: Talk["options"]): Promise<void> {
    let error: unknown;
    try {
      await using running = await open(options, { log: port.log, tell: (news) => port.tell(news) });
      engine = running;
      port.started(running.started);
      error = await Promise.race([closing.promise, running.failed]);
    } catch (thrown) {
      error = thrown;
    }
    port.ended(error);
  }
}
