/**
 * The Worker's side of `relay.ts`: runs the engine's turns, and between two of them, when it has been woken, hears what the
 * main thread has to say.
 *
 *   turn (sleeps in epoll) ─▶ woken n times? ─▶ let the event loop run until n messages were heard ─▶ turn …
 */

import { eventLoopTurn, plainError, remoteLog } from "../worker_messages.ts";
import { RelayEngine } from "./engine.ts";
import type { FromRelay, RelayCommand, RelayEngineOptions, ToRelay } from "./relay_messages.ts";

const port = self as unknown as {
  onmessage: ((event: MessageEvent<ToRelay>) => void) | null;
  postMessage(message: FromRelay): void;
  close(): void;
};

let engine: RelayEngine | undefined;
let heard = 0;
let isClosing = false;

port.onmessage = ({ data }) => {
  heard++;
  if (data.type === "start") run(data.options, data.wakeFd);
  else if (data.type === "close") isClosing = true;
  else obey(data.id, data.command);
};

async function run(options: RelayEngineOptions, wakeFd: number): Promise<void> {
  let error: unknown;
  try {
    using running = new RelayEngine({
      ...options,
      wakeFd,
      log: remoteLog((line) => port.postMessage(line)),
      onLearned: (sessionId, side, at) => port.postMessage({ type: "learned", sessionId, side, at }),
    });
    engine = running;
    port.postMessage({ type: "started" });
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

function obey(id: number, command: RelayCommand): void {
  try {
    const answer = engine!.obey(command);
    port.postMessage({ type: "answer", id, ...answer === undefined ? {} : { answer } });
  } catch (error) {
    port.postMessage({ type: "answer", id, error: plainError(error) });
  }
}
