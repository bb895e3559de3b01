/**
 * Starts a service's process as a child of ours that can do without us: in a session of its own, its log a file and no pipe,
 * so that it does not notice when the manager is killed.
 *
 *   setpriv: the user ─ exec ─▶ /bin/sh: limit of open files, log, environment ─ exec ─▶ the program
 *
 * All of them have the same pid and start time.
 *
 * It gets a plain environment, as a unit of systemd does, and not the manager's: what it is told lies in its service's file.
 * `CULVERT_SERVICE` marks it and all that it starts, for `strays.ts`. A user of its own comes with its first group alone and
 * without a way to more rights; those that the program needs beyond a user's, such as for packets of its own, setpriv(1)
 * gives it. Where there is no setpriv, a service with a user has no such rights, and set-user-ID programs are open to it.
 */

import { join } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { needsOf } from "../../protocol/manager/program_needs.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { NOTIFY_WATCHDOG_MS } from "../../protocol/manager/notify_text.ts";
import type { Host } from "../host.ts";
import type { Account } from "./accounts.ts";

export const MARK = "CULVERT_SERVICE";
/** The pid of the program itself; what it starts inherits that, and has another. */
export const MAIN_PID = "CULVERT_SERVICE_PID";

export interface OwnStart {
  readonly service: Service;
  /** Whose rights it gets, where the service has a user. */
  readonly account: Account | undefined;
  /** What `MARK` says. */
  readonly mark: string;
  readonly logPath: string;
  /** Where it is heard, if it notifies. */
  readonly notifyPath: string | undefined;
  /** The manager's own environment. */
  readonly env: Host["env"];
  readonly log: Log;
}

/** Of the manager's environment, what every program on this machine needs to know. */
const PASSED_ON = ["PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "USER", "LOGNAME", "DENO_DIR", "SSL_CERT_FILE"];
/** Where programs lie on a machine whose environment does not say. */
const USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * A log that cannot be opened is done without. Its check is a command apart, since a shell ends with an `exec` that fails.
 * What a service is told of its own pid is told here, where it is known.
 */
function wrapperOf(passed: readonly string[]): string {
  return `umask 022
if [ -n "$1" ]; then ulimit -Sn "$1" 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"; fi
if { true >>"$2"; } 2>/dev/null; then exec >>"$2" 2>&1; else exec >/dev/null 2>&1; fi
shift 2
export ${passed.map((name) => `"$${name}"`).join(" ")}
unset ${passed.join(" ")}
if [ -n "\${NOTIFY_SOCKET-}" ]; then export WATCHDOG_PID=$$; fi
export ${MAIN_PID}=$$
exec "$@"`;
}

/** Throws where there is nothing to start; what fails later, in the shell, is in the service's log. */
export async function startOwnProcess(start: OwnStart, signal: AbortSignal): Promise<Deno.ChildProcess> {
  const { service, account, logPath } = start;
  const environment = environmentOf(start);
  await checkProgram(service, environment.PATH);
  if (service.directory !== undefined) await checkDirectory(service.name, service.directory);
  const rights = account && Deno.uid() === 0 ? await rightsOf(account, start) : {};
  signal.throwIfAborted();
  const files = service.limits.openFiles;
  // The limit proper is watched, and ends in a restart; the kernel's must not strike first.
  const fileLimit = files === undefined ? "" : String(files * 2);
  const passed = passedOn(environment);
  const [program, ...args] = [
    ...rights.prefix ?? [],
    ...["/bin/sh", "-c", wrapperOf(Object.keys(passed)), "sh", fileLimit, logPath],
    ...service.command,
  ];
  return new Deno.Command(program!, {
    args,
    // What the shell exports is seen from outside only once the program is there; the mark must be from the first moment.
    env: { ...passed, [MARK]: start.mark },
    clearEnv: true,
    cwd: service.directory ?? "/",
    ...rights.ids,
    detached: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

/**
 * The service's environment under names that mean nothing to any program: what runs before the change of user runs as root,
 * and must not be told by a service where its libraries lie.
 */
function passedOn(environment: Environment): Record<string, string> {
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return Object.fromEntries(variables.map((variable, at) => [`CULVERT_PASSED_${at}`, variable]));
}

interface Rights {
  readonly ids?: { readonly uid: number; readonly gid: number };
  /** What all that is the service's is started by. */
  readonly prefix?: readonly string[];
}

/** A user's, and whatever of root's the program cannot do without: that alone, and it gets no others later. */
async function rightsOf({ name, uid, gid }: Account, { service, env, log }: OwnStart): Promise<Rights> {
  const { capabilities } = needsOf(service);
  // Root's own, never one that a service's PATH leads to.
  const setpriv = await findProgram("setpriv", env("PATH") ?? USUAL_PATH);
  if (setpriv === undefined && capabilities.length === 0) return { ids: { uid, gid } };
  if (setpriv === undefined) {
    throw new CulvertError(
      "no_program",
      `Cannot start ${service.name} as ${name} with ${capabilities.join(", ")}: setpriv must be installed (util-linux)`,
    );
  }
  const user = [setpriv, `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs"];
  if (capabilities.length === 0) return { prefix: [...user, "--"] };
  // In a container root itself may have less, and what is not there cannot be given.
  const own = await ownCapabilities(setpriv);
  const missing = capabilities.filter((capability) => !own.has(capability));
  if (missing.length > 0) {
    log.warn("A service asks for rights that the manager has not", { service: service.name, missing: missing.join() });
  }
  const given = capabilities.filter((capability) => own.has(capability));
  const set = ["-all", ...given.map((capability) => `+${capability.replace(/^CAP_/, "").toLowerCase()}`)].join();
  const sets = ["inh-caps", "ambient-caps", "bounding-set"].map((kind) => `--${kind}=${set}`);
  return { prefix: [...user, ...sets, "--"] };
}

async function ownCapabilities(setpriv: string): Promise<ReadonlySet<string>> {
  const { stdout } = await new Deno.Command(setpriv, { args: ["--dump"], stdin: "null", stderr: "null" }).output();
  const names = /^Capability bounding set: (.*)$/m.exec(new TextDecoder().decode(stdout))?.[1] ?? "";
  return new Set(names.split(",").map((name) => `CAP_${name.toUpperCase()}`));
}

type Environment = Record<string, string> & { PATH: string };

function environmentOf({ service, account, mark, notifyPath, env }: OwnStart): Environment {
  const environment: Environment = { PATH: USUAL_PATH };
  for (const name of PASSED_ON) {
    const value = env(name);
    if (value !== undefined) environment[name] = value;
  }
  if (account) Object.assign(environment, { HOME: account.home, USER: account.name, LOGNAME: account.name });
  Object.assign(environment, service.environment, { [MARK]: mark });
  if (notifyPath === undefined) return environment;
  return { ...environment, NOTIFY_SOCKET: notifyPath, WATCHDOG_USEC: String(NOTIFY_WATCHDOG_MS * 1000) };
}

async function checkProgram({ name, command: [program] }: Service, path: string): Promise<void> {
  if (await findProgram(program, path) !== undefined) return;
  throw new CulvertError("no_program", `Cannot start ${name}: ${program} must be a program, and there is none`);
}

async function findProgram(program: string, path: string): Promise<string | undefined> {
  const places = program.includes("/") ? [program] : path.split(":").map((folder) => join(folder, program));
  for (const place of places) if (await isProgram(place)) return place;
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && (mode! & 0o111) !== 0;
  } catch {
    return false;
  }
}

async function checkDirectory(name: string, path: string): Promise<void> {
  const isDirectory = await Deno.stat(path).then((info) => info.isDirectory, () => false);
  if (isDirectory) return;
  throw new CulvertError("no_directory", `Cannot start ${name}: directory must be a folder, got ${path}`);
}
