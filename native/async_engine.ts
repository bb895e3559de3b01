/**
 * The Worker's side of `engine_worker.ts` for engines that wait by promises instead of in the kernel: packet carriers, which
 * poll on another thread. Commands are heard whenever the event loop runs.
 */

import type { Log } from "../protocol/log.ts";
import { type EngineTalk, type FromEngine, plainError, remoteLog, type ToEngine } from "./worker_messages.ts";

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
  const port = self as unknown as {
    onmessage: ((event: MessageEvent<ToEngine<Talk>>) => void) | null;
    postMessage(message: FromEngine<Talk>): void;
    close(): void;
  };
  let engine: AsyncEngine<Talk> | undefined;
  const closing = Promise.withResolvers<undefined>();

  port.onmessage = ({ data }) => {
    if (data.type === "start") run(data.options);
    else if (data.type === "close") closing.resolve(undefined);
    else obey(data.id, data.command);
  };

  async function run(options: Talk["options"]): Promise<void> {
    let error: unknown;
    try {
      await using running = await open(options, {
        log: remoteLog((line) => port.postMessage(line)),
        tell: (news) => port.postMessage({ type: "news", news }),
      });
      engine = running;
      port.postMessage({ type: "started", started: running.started });
      error = await Promise.race([closing.promise, running.failed]);
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
