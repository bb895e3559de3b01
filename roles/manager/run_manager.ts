/**
 * The manager's work: puts supervisor, runner, checks, meters and alerts together, and answers for them.
 *
 *   lock ─▶ runner ─▶ supervisor: takes over what runs, starts the rest ─▶ socket ─▶ ready … stop ─▶ services end, or stay
 */

import { NotifySockets } from "../../native/notify_socket.ts";
import { openLibc } from "../../native/libc.ts";
import { ProcessExits } from "../../native/process_exits.ts";
import { openTcpTable } from "../../native/tcp_table.ts";
import { aborted } from "../../protocol/abort.ts";
import { messageOf } from "../../protocol/errors.ts";
import { serveControlSocket } from "../control_socket.ts";
import { denoHost } from "../host.ts";
import type { ManagerSettings } from "../manager.ts";
import type { RoleContext } from "../role.ts";
import { untracedFetch } from "../untraced_fetch.ts";
import { openAlerts } from "./alerts.ts";
import { serviceChecks } from "./checks.ts";
import { listeningPorts } from "./listening_ports.ts";
import { managerAnswers } from "./manager_answers.ts";
import { managerFiles } from "./manager_files.ts";
import { lockRunDirectory } from "./manager_lock.ts";
import { serviceMetrics } from "./manager_metrics.ts";
import { Meter } from "./meter.ts";
import { OwnRunner } from "./own_runner.ts";
import { type Places, placesOf, thisPlacesHost } from "./places.ts";
import { findPortOwner } from "./port_owner.ts";
import { restingServices } from "./resting.ts";
import type { RunnerEvents, ServiceRunner } from "./runner.ts";
import { sendSignal } from "./strays.ts";
import { Supervisor } from "./supervisor.ts";
import { Systemctl } from "./systemctl.ts";
import { SystemdRunner } from "./systemd_runner.ts";
import { unclaimedProcesses } from "./unclaimed.ts";
import { UnitFiles } from "./unit_files.ts";
import { managerWords } from "./words.ts";

/** How long what people are shown of all processes may be old. */
const STATS_AGE_MS = 200;
/** After a service's time to stop is over. */
const KILL_AND_SWEEP_MS = 10_000;
/** In which those who may not see the services' secrets see who runs them. */
const FOLDER_MODE = 0o755;

export async function runManager(config: ManagerSettings, context: RoleContext): Promise<void> {
  const { clock, log } = context;
  const places = placesOf(config, context.stateDir, thisPlacesHost(denoHost().env));
  await Deno.mkdir(places.run, { recursive: true, mode: FOLDER_MODE });
  await using resources = new AsyncDisposableStack();
  // One that comes before there is anything to read again is kept until there is.
  const begun = Promise.withResolvers<Supervisor>();
  resources.use(onHangUp(async () => await (await begun.promise).reload(), context));
  resources.use(await lockRunDirectory(places.run));
  const sockets = resources.use(openTcpTable());
  const supervisor = await openSupervisor(config, { context, places, sockets, resources });
  begun.resolve(supervisor);
  const stopsAll = places.backend === "own" && !config.keepServices;
  if (stopsAll) tellShortDrain(supervisor, context);
  const meter = new Meter({ clock, sockets, maxAgeMs: STATS_AGE_MS });
  const answer = managerAnswers({ supervisor, meter, clock });
  resources.use(await serveControlSocket({ path: places.socket, words: managerWords, answer, clock, log }));
  const { services } = supervisor.report();
  context.ready({
    addresses: { socket: places.socket },
    words: { socket: "asked at" },
    note: `${services.length} service${services.length === 1 ? "" : "s"} of ${places.services}`,
  });
  await aborted(context.signal);
  // Units are systemd's, and stay; what are our own children would be nobody's.
  if (stopsAll) await supervisor.stopAll(context.hardSignal);
}

/** Those that need all their time would be killed before it is over. */
function tellShortDrain(supervisor: Supervisor, { drainTimeoutMs, log }: RoleContext): void {
  const neededMs = supervisor.longestStopMs + KILL_AND_SWEEP_MS;
  if (drainTimeoutMs === undefined || drainTimeoutMs >= neededMs) return;
  log.warn(
    "A stop of the manager would not wait for all services: drain_timeout should be 10 s above the longest stop timeout",
    {
      drain_timeout_ms: drainTimeoutMs,
      longest_stop_timeout_ms: supervisor.longestStopMs,
    },
  );
}

interface Parts {
  readonly context: RoleContext;
  readonly places: Places;
  readonly sockets: ReturnType<typeof openTcpTable>;
  readonly resources: AsyncDisposableStack;
}

async function openSupervisor(config: ManagerSettings, parts: Parts): Promise<Supervisor> {
  const { context: { clock, log, metrics, tracing }, places, sockets, resources } = parts;
  const events: RunnerEvents = { onNotice: () => {} };
  const runner = await openRunner(events, parts);
  const count = serviceMetrics(metrics);
  const supervisor: Supervisor = new Supervisor({
    files: managerFiles({ places, watchdogFile: config.watchdog }),
    runner,
    kill: (process) => void sendSignal(process, "SIGKILL", "group"),
    // Of units systemd knows which there are, and shows them: `systemctl list-units "culvert-*"`.
    unclaimed: (known) => places.backend === "own" ? unclaimedProcesses(places.run, known) : [],
    checks: serviceChecks({ clock, ports: listeningPorts(sockets), ownerOf: (port) => findPortOwner(sockets, port) }),
    resting: restingServices(places.run, log),
    alerts: resources.use(openAlerts({ clock, log, fetch: await untracedFetch(tracing) })),
    meter: new Meter({ clock }),
    clock,
    log,
    pid: Deno.pid,
    onEvent: (event) => count(supervisor, event),
  });
  resources.use(supervisor);
  await supervisor.begin();
  return supervisor;
}

async function openRunner(events: RunnerEvents, { context, places, resources }: Parts): Promise<ServiceRunner> {
  const { clock, log } = context;
  if (places.backend === "systemd") {
    const exits = resources.use(new ProcessExits({ clock }));
    const files = new UnitFiles({ run: places.run });
    return resources.use(new SystemdRunner({ clock, events, systemctl: new Systemctl({ clock }), files, exits }));
  }
  const notices = resources.use(new NotifySockets(resources.use(openLibc()), clock));
  const { env } = denoHost();
  return resources.use(await OwnRunner.open({ ...events, places, sockets: notices, clock, log, env }));
}

/** Reads files and settings again at SIGHUP. What is wrong with them is told, and all stays as it was. */
function onHangUp(reload: () => Promise<void>, { log }: RoleContext): Disposable {
  const onSignal = () => {
    log.info("Reading the service files again");
    reload().catch((error) => log.error("Cannot read the service files again", { error: messageOf(error) }));
  };
  Deno.addSignalListener("SIGHUP", onSignal);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGHUP", onSignal) };
}
