/**
 * The Worker's side of `worker_role.ts`: runs one role of the registry and passes on what it says.
 */

import { clockOf } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log, LogFields } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { registry } from "../registry.ts";
import { type RunningRole, startRole } from "../role.ts";
import type { FromWorker, ToWorker } from "./worker_role.ts";

const port = self as unknown as {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
};

function remoteLog(fields: LogFields): Log {
  const say = (level: keyof Omit<Log, "with">) => (message: string, more?: LogFields) =>
    port.postMessage({ type: "log", level, message, fields: { ...fields, ...more } });
  return {
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
    with: (more) => remoteLog({ ...fields, ...more }),
  };
}

async function run(name: string, config: Record<string, unknown>): Promise<void> {
  const role = await registry.find((entry) => entry.name === name)!.load();
  await using started = startRole(role, role.config.parse(config), {
    log: remoteLog({}),
    clock: clockOf(globalThis),
    random: randomOf(crypto),
    onReady: ({ addresses }) => port.postMessage({ type: "ready", addresses }),
  });
  running = started;
  if (stopAsked) await started.stop();
  else await started.done;
}

let running: RunningRole | undefined;
let stopAsked = false;

port.onmessage = ({ data }) => {
  if (data.type === "stop") {
    stopAsked = true;
    running?.stop().catch(() => {}); // `run` reports it
    return;
  }
  run(data.role, data.config).then(
    () => port.postMessage({ type: "ended" }),
    (error) => port.postMessage({ type: "ended", error: messageOf(error) }),
  );
};
