/**
 * The Worker's side of `worker_role.ts`: runs one role of the registry and passes on what it says.
 */

import { clockOf } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log, LogFields } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { registry } from "../registry.ts";
import { type Role, type RunningRole, startRole } from "../role.ts";
import { tracingOf } from "../tracing_switch.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./worker_role.ts";

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

async function run(role: Role, { config, stateDir }: WorkerSettings): Promise<void> {
  const log = remoteLog({});
  await using started = startRole(role, role.config.parse(config), {
    log,
    tracing: await tracingOf(role.name, { env: (name) => Deno.env.get(name), log }),
    clock: clockOf(globalThis),
    random: randomOf(crypto),
    stateDir,
    onReady: ({ addresses }) => port.postMessage({ type: "ready", addresses }),
  });
  running = started;
  if (stopAsked) await started.stop();
  else await started.done;
}

let loading: Promise<Role> | undefined;
let running: RunningRole | undefined;
let stopAsked = false;

port.onmessage = ({ data }) => {
  switch (data.type) {
    case "load":
      loading = registry.find(({ name }) => name === data.role)!.load();
      loading.catch(() => {}); // told when it is started
      break;
    case "start":
      loading!.then((role) => run(role, data)).then(
        () => port.postMessage({ type: "ended" }),
        (error) => port.postMessage({ type: "ended", error: messageOf(error) }),
      );
      break;
    case "stop":
      stopAsked = true;
      running?.stop().catch(() => {}); // `run` reports it
  }
};
