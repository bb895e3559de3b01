/**
 * What a role is, and how it runs: alone in a process (`runRole`) or beside others (`startRole`).
 *
 *   args, environment, file ─▶ settings ─▶ run(config, context) ─▶ ready line … stop signal ─▶ drain ─▶ exit code
 *
 * Exit codes: 0 it ended as asked, 1 it failed, 2 the settings are wrong, 130 it was interrupted twice. Standard output
 * carries results and the one ready line, standard error everything else.
 */

import type { z } from "zod";
import deno from "../deno.json" with { type: "json" };
import type { Readiness } from "../edge/health.ts";
import type { MetricsRegistry } from "../edge/metrics.ts";
import { type Clock, clockOf } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { type Random, randomOf } from "../protocol/random.ts";
import { noTracing, type Tracing } from "../protocol/tracing.ts";
import { commonConfig, type CommonSettings, serviceConfig, slowServiceConfig } from "./common.ts";
import { ConfigError, readConfig, wantsHelp } from "./config.ts";
import { helpText } from "./config/help.ts";
import { denoHost, type Host } from "./host.ts";
import { createLog } from "./log.ts";
import { jsonFormatter, textFormatter } from "./log_format.ts";
import { createLogSink, type LogSink } from "./log_sink.ts";
import { openNotifying } from "./notifying.ts";
import { registry } from "./registry.ts";
import { defaultStateDirectory } from "./state_location.ts";
import { Stopping } from "./stopping.ts";
import { tracingOf } from "./tracing_switch.ts";

/** Where a role can be reached, told once it can be. */
export interface ReadyInfo {
  /** What listens → where; `listen` is the main one. */
  readonly addresses: Readonly<Record<string, string>>;
  /** What people are told of an address, in place of its name and `on`. */
  readonly words?: Readonly<Record<string, string>>;
  /** More to say to people on the ready line. */
  readonly note?: string;
}

/** What a role runs with. */
export interface RoleContext {
  /** Aborted when a stop is asked for: take no new work, let what is under way end, return. */
  readonly signal: AbortSignal;
  /** Aborted when draining has taken too long: cut everything and return. */
  readonly hardSignal: AbortSignal;
  /** How long it has from the one to the other; undefined where that is for whoever has started it to say. */
  readonly drainTimeoutMs?: number | undefined;
  readonly log: Log;
  readonly metrics: MetricsRegistry;
  /** Says how deeds went that take time; to nobody unless Deno traces. */
  readonly tracing: Tracing;
  readonly clock: Clock;
  readonly random: Random;
  /** The directory for keys and state; it need not exist yet. */
  readonly stateDir: string;
  /** Whether results should be printed as JSON. */
  readonly json: boolean;
  /** Says that the role does its work from now on. The second time it does nothing. */
  ready(info: ReadyInfo): void;
  /** Adds something that must hold for the role to be ready: `probe` gives a sentence when it does not. */
  check(name: string, probe: () => string | undefined): void;
  /** Prints one line of results. */
  print(line: string): void;
  /** Says something to the person who has started the role, beside its results; to nobody within another program. */
  tell(line: string): void;
}

export interface Role<S extends z.ZodObject = z.ZodObject> {
  /** As typed: lower-case words with dashes. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  readonly config: S;
  /** Command lines that work as they are. */
  readonly examples: readonly string[];
  /** Whether it runs until stopped. Default true. */
  readonly longRunning?: boolean;
  /** Whether it has nothing more to do once nobody reads what it prints, as with `| head`. Default false: it goes on. */
  readonly endsUnread?: boolean;
  /** How long its work may go on after a stop is asked for, unless told otherwise. Default 10s. */
  readonly drainTimeout?: string;
  run(config: z.output<S>, context: RoleContext): Promise<void>;
}

/** A role, with its settings' types inferred. */
export function defineRole<S extends z.ZodObject>(role: Role<S>): Role<S> {
  return role;
}

/** The schemas behind a role's flags, by the titles the help gives them. */
export function roleGroups(role: Role): Readonly<Record<string, z.ZodObject>> {
  const { longRunning, drainTimeout } = role;
  const ofServices = drainTimeout === undefined ? serviceConfig : slowServiceConfig(drainTimeout);
  return { "Flags": role.config, "Common flags": longRunning === false ? commonConfig : ofServices };
}

/** What a role started with `startRole` is given; anything left out is the host's own, or silent. */
export interface StartOptions extends Partial<Omit<RoleContext, "ready" | "check">> {
  /** Called once when the role is ready. */
  readonly onReady?: (info: ReadyInfo) => void;
}

/** A role that runs. Disposing it cuts everything and waits for its end. */
export interface RunningRole extends AsyncDisposable {
  /** Settles when the role is ready; rejects if it ends first. */
  readonly ready: Promise<ReadyInfo>;
  /** Settles when the role has ended; rejects with what made it fail. */
  readonly done: Promise<void>;
  readiness(): Readiness;
  /** Asks for a stop and waits for the end. */
  stop(): Promise<void>;
}

/** Runs a role inside this process: no signal handlers, no exit, no output but what the options give it. */
export function startRole<S extends z.ZodObject>(
  role: Role<S>,
  config: z.output<S>,
  options: StartOptions = {},
): RunningRole {
  return new InProcessRole(role, config, options);
}

class InProcessRole<S extends z.ZodObject> implements RunningRole {
  readonly ready: Promise<ReadyInfo>;
  readonly done: Promise<void>;
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #signal: AbortSignal;
  readonly #checks = new Map<string, () => string | undefined>();
  #isReady = false;

  constructor(role: Role<S>, config: z.output<S>, options: StartOptions) {
    this.#signal = either(this.#soft.signal, options.signal);
    const { promise, resolve, reject } = Promise.withResolvers<ReadyInfo>();
    this.ready = promise;
    const context: RoleContext = {
      signal: this.#signal,
      hardSignal: either(this.#hard.signal, options.hardSignal),
      drainTimeoutMs: options.drainTimeoutMs,
      log: options.log ?? silentLog,
      metrics: options.metrics ?? noRegistry(),
      tracing: options.tracing ?? noTracing,
      clock: options.clock ?? clockOf(globalThis),
      random: options.random ?? randomOf(crypto),
      stateDir: options.stateDir ?? defaultStateDirectory(denoHost()),
      json: options.json ?? false,
      print: options.print ?? (() => {}),
      tell: options.tell ?? (() => {}),
      check: (name, probe) => void this.#checks.set(name, probe),
      ready: (info) => {
        if (this.#isReady) return;
        this.#isReady = true;
        options.onReady?.(info);
        resolve(info);
      },
    };
    this.done = run(role, config, context);
    this.done.then(
      () => reject(new CulvertError("ended", `The role ${role.name} ended before it was ready`)),
      reject,
    );
    // A failure belongs to `done`: that nobody waits for `ready` must not end the process.
    this.ready.catch(() => {});
  }

  readiness(): Readiness {
    const failing: Record<string, string> = {};
    if (!this.#isReady) failing.start = "The role has not finished starting";
    if (this.#signal.aborted) failing.stop = "The role is stopping";
    for (const [name, probe] of this.#checks) {
      const problem = probe();
      if (problem !== undefined) failing[name] = problem;
    }
    return { ready: Object.keys(failing).length === 0, failing };
  }

  async stop(): Promise<void> {
    this.#soft.abort(new CulvertError("stopped", "The role was asked to stop"));
    await this.done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hard.abort(new CulvertError("stopped", "The role ends now"));
    await this.stop().catch(() => {}); // whoever waits for `done` hears of it, once
  }
}

/** Runs to the end. Rejecting with the reason of the stop is one way of having stopped. */
async function run<S extends z.ZodObject>(role: Role<S>, config: z.output<S>, context: RoleContext): Promise<void> {
  try {
    await role.run(config, context);
  } catch (error) {
    const reasons = [context.signal, context.hardSignal].filter((signal) => signal.aborted).map(({ reason }) => reason);
    if (!reasons.includes(error)) throw error;
  }
}

function either(own: AbortSignal, given: AbortSignal | undefined): AbortSignal {
  return given ? AbortSignal.any([own, given]) : own;
}

function noRegistry(): MetricsRegistry {
  return { ...noMetrics, contentType: "text/plain", text: () => Promise.resolve("") };
}

export interface RunOptions {
  readonly host?: Host;
  /** Every role's name, whose sections may stand in a config file. Default: those of the registry. */
  readonly roles?: readonly string[];
}

/**
 * Runs a role as this process's work and gives the exit code.
 *
 * @example `if (import.meta.main) Deno.exit(await runRole(role, Deno.args));`
 */
export async function runRole(role: Role, args: readonly string[], options: RunOptions = {}): Promise<number> {
  const host = options.host ?? denoHost();
  const groups = roleGroups(role);
  if (wantsHelp(args)) {
    host.print(helpText({ role: role.name, summary: role.summary, examples: role.examples, groups }));
    return 0;
  }
  const action = `${role.longRunning === false ? "run" : "start"} ${role.name}`;
  const roles = options.roles ?? registry.map(({ name }) => name);
  const sources = { args, env: host.env, readTextFile: host.readTextFile };
  try {
    const settings = await readConfig({ role: role.name, action, roles, groups }, sources);
    return await runConfigured(role, settings["Flags"]!, { common: settings["Common flags"] as CommonSettings, host });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    host.complain(`${error.message}\nRun "culvert ${role.name} --help" for every flag.\n`);
    return 2;
  }
}

interface ProcessSettings {
  readonly common: CommonSettings;
  readonly host: Host;
}

async function runConfigured(role: Role, config: unknown, { common, host }: ProcessSettings): Promise<number> {
  const { log, sink } = openLog(role, common, host);
  const report = (error: unknown) => reportError(log, error);
  using stopping = new Stopping({ host, log, report, drainTimeoutMs: common.drainTimeout ?? 0 });
  const ended = runToEnd(role, config, { common, host, log, stopping }).then(() => stopping.failed ? 1 : 0, (error) => {
    report(error);
    return error instanceof ConfigError ? 2 : 1;
  });
  const code = await Promise.race([ended, stopping.givenUp]);
  await sink.flush(FLUSH_MS);
  return code;
}

/** How long the last log lines may take to be read by whoever reads them. */
const FLUSH_MS = 1000;

async function runToEnd(
  role: Role,
  config: unknown,
  process: ProcessSettings & { readonly log: Log; readonly stopping: Stopping },
): Promise<void> {
  const { common, host, log, stopping } = process;
  let readiness = (): Readiness => ({ ready: false, failing: { start: "The role has not started" } });
  await using notifying = role.longRunning === false
    ? undefined
    : await openNotifying({ env: host.env, clock: host.clock, log, stopping: stopping.signal });
  await using health = common.metricsListen && await (await import("./health_server.ts")).serveHealth({
    listen: common.metricsListen,
    host,
    ready: () => readiness(),
    version: deno.version,
  });
  const running = startRole(role, config as z.output<z.ZodObject>, {
    signal: stopping.signal,
    hardSignal: stopping.hardSignal,
    drainTimeoutMs: common.drainTimeout,
    log,
    ...(health ? { metrics: health.metrics } : {}),
    tracing: await tracingOf(role.name, { env: host.env, log }),
    clock: host.clock,
    random: host.random,
    stateDir: common.stateDir ?? defaultStateDirectory(host),
    json: common.json,
    print: (line) => {
      if (!host.print(line + "\n") && role.endsUnread) stopping.end();
    },
    tell: (line) => host.complain(line + "\n"),
    onReady(info) {
      const addresses = health ? { ...info.addresses, metrics: health.address } : info.addresses;
      host.print(readyLine(role.name, { ...info, addresses }, common.json) + "\n");
      notifying?.ready(readyText({ ...info, addresses }));
    },
  });
  readiness = () => running.readiness();
  await running.done;
}

function readyLine(role: string, info: ReadyInfo, json: boolean): string {
  if (json) return JSON.stringify({ ready: true, role, addresses: info.addresses });
  return ["ready", role, readyText(info)].join("  ").trimEnd();
}

/** Where it can be reached, for people. */
function readyText(info: ReadyInfo): string {
  const words: Readonly<Record<string, string>> = { listen: "listening on", ...info.words };
  const places = Object.entries(info.addresses).map(([name, at]) => `${words[name] ?? `${name} on`} ${at}`);
  return [...places, ...info.note ? [info.note] : []].join(", ");
}

function openLog(role: Role, common: CommonSettings, host: Host): { log: Log; sink: LogSink } {
  const asText = !common.json &&
    (common.logFormat === "text" || common.logFormat === "auto" && host.logIsTerminal);
  const format = asText ? textFormatter({ colour: host.logIsTerminal && !host.env("NO_COLOR") }) : jsonFormatter;
  const wallNow = () => host.clock.wallNow();
  const lostLine = (count: number) =>
    format({
      timeMs: wallNow(),
      level: "warn",
      role: role.name,
      message: "Log lines were dropped: nobody read them in time",
      fields: { count },
    });
  const sink = createLogSink({ write: host.writeLog, clock: host.clock, lostLine });
  return { sink, log: createLog({ role: role.name, level: common.logLevel, format, sink, wallNow }) };
}

/** One clear line; the stack is for whoever asks for `--log-level debug`, a line of log for each of its own. */
function reportError(log: Log, error: unknown): void {
  log.error(messageOf(error), error instanceof CulvertError ? { code: error.code } : {});
  if (!(error instanceof Error)) return;
  for (const line of error.stack?.split("\n").slice(1) ?? []) log.debug(line.trim());
  if (error.cause !== undefined) log.debug(`Caused by: ${messageOf(error.cause)}`);
}
