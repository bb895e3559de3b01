/**
 * The Worker's side of `userspace.ts`: runs the engine's turns, and between two of them, when it has been woken, hears
 * what the main thread has to say.
 *
 *   turn (sleeps in poll) ─▶ woken n times? ─▶ let the event loop run until n messages were heard ─▶ turn …
 */

import { clockOf } from "../../protocol/clock.ts";
import { eventLoopTurn, plainError, remoteLog } from "../worker_messages.ts";
import { Engine } from "./engine.ts";
import type { EngineOptions, FromEngine, ToEngine } from "./engine_messages.ts";

const port = self as unknown as {
  onmessage: ((event: MessageEvent<ToEngine>) => void) | null;
  postMessage(message: FromEngine): void;
  close(): void;
};

let engine: Engine | undefined;
let heard = 0;
let isClosing = false;

port.onmessage = ({ data }) => {
  heard++;
  if (data.type === "open") run(data.options, data.wakeFd);
  else if (data.type === "close") isClosing = true;
  else answer(data.id, () => data.type === "status" ? engine!.status() : engine!.configure(data.change));
};

async function run(options: EngineOptions, wakeFd: number): Promise<void> {
  let error: unknown;
  try {
    using running = Engine.open({
      ...options,
      wakeFd,
      log: remoteLog((line) => port.postMessage(line)),
      clock: clockOf(globalThis),
    });
    engine = running;
    port.postMessage({ type: "opened", interfaceName: running.interfaceName });
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

function answer(id: number, ask: () => Parameters<typeof reply>[1]): void {
  try {
    reply(id, ask());
  } catch (error) {
    port.postMessage({ type: "answer", id, error: plainError(error) });
  }
}

function reply(id: number, status: ReturnType<Engine["status"]> | void): void {
  port.postMessage({ type: "answer", id, ...status ? { status } : {} });
}
