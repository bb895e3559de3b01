/**
 * The Worker's end of what an engine and the main thread say to each other, alike for engines that sleep in the kernel
 * (`engine_loop.ts`) and for those that wait by promises (`async_engine.ts`).
 */

import type { Log } from "../protocol/log.ts";
import { type EngineTalk, type FromEngine, plainError, remoteLog, type ToEngine } from "./worker_messages.ts";

/** What is heard; each is called as messages come. */
export interface EngineEars<Talk extends EngineTalk> {
  start(options: Talk["options"], wakeFd: number): void;
  close(): void;
  /** A command between two turns; what it throws is told to whoever asked. */
  obey(command: Talk["command"]): Talk["answer"];
  /** Any message has come, before it is looked at. */
  heard?(): void;
}

export class EnginePort<Talk extends EngineTalk> {
  readonly log: Log;
  readonly #port = self as unknown as {
    onmessage: ((event: MessageEvent<ToEngine<Talk>>) => void) | null;
    postMessage(message: FromEngine<Talk>): void;
    close(): void;
  };

  constructor(ears: EngineEars<Talk>) {
    this.log = remoteLog((line) => this.#port.postMessage(line));
    this.#port.onmessage = ({ data }) => {
      ears.heard?.();
      if (data.type === "start") ears.start(data.options, data.wakeFd);
      else if (data.type === "close") ears.close();
      else this.#answer(data.id, () => ears.obey(data.command));
    };
  }

  started(started: Talk["started"]): void {
    this.#port.postMessage({ type: "started", started });
  }

  tell(news: Talk["news"]): void {
    this.#port.postMessage({ type: "news", news });
  }

  /** The last that is said: undefined when it was asked to end. */
  ended(error: unknown): void {
    this.#port.postMessage({ type: "ended", ...error === undefined ? {} : { error: plainError(error) } });
    this.#port.close();
  }

  #answer(id: number, obey: () => Talk["answer"]): void {
    try {
      this.#port.postMessage({ type: "answer", id, answer: obey() });
    } catch (error) {
      this.#port.postMessage({ type: "answer", id, error: plainError(error) });
    }
  }
}
