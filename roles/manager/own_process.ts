/**
 * Starts a service's process as a child of ours that can do without us: in a session of its own, its log a file and no pipe,
 * so that it does not notice when the manager is killed.
 *
 *   /bin/sh: limit of open files, log ─ exec ─▶ the program, with the same pid and start time
 *
 * It gets a plain environment, as a unit of systemd does, and not the manager's: what it is told lies in its service's file.
 * `CULVERT_SERVICE` marks it and all that it starts, for `strays.ts`. A user of its own comes with its first group alone; where
 * the program needs more rights than a user has, such as packets of its own, setpriv(1) gives it those.
 */

import { join } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { needsOf } from "../../protocol/manager/program_needs.ts";
import type { Service } from "../../protocol/manager/service.ts";
import { HUNG_AFTER_MS } from "../../protocol/manager/watchdog_settings.ts";
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
const WRAPPER = `umask 022
if [ -n "$1" ]; then ulimit -Sn "$1" 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"; fi
log=$2; shift 2
if { true >>"$log"; } 2>/dev/null; then exec >>"$log" 2>&1; else exec >/dev/null 2>&1; fi
if [ -n "\${NOTIFY_SOCKET-}" ]; then export WATCHDOG_PID=$$; fi
export ${MAIN_PID}=$$
exec "$@"`;

/** Throws where there is nothing to start; what fails later, in the shell, is in the service's log. */
export async function startOwnProcess(start: OwnStart, signal: AbortSignal): Promise<Deno.ChildProcess> {
  const { service, account, logPath, log } = start;
  const environment = environmentOf(start);
  await checkProgram(service, environment.PATH);
  if (service.directory !== undefined) await checkDirectory(service.name, service.directory);
  const rights = account && Deno.uid() === 0 ? await rightsOf(service, account, { path: environment.PATH, log }) : {};
  signal.throwIfAborted();
  const files = service.limits.openFiles;
  // The limit proper is watched, and ends in a restart; the kernel's must not strike first.
  const fileLimit = files === undefined ? "" : String(files * 2);
  return new Deno.Command("/bin/sh", {
    args: ["-c", WRAPPER, "sh", fileLimit, logPath, ...rights.prefix ?? [], ...service.command],
    env: environment,
    clearEnv: true,
    ...service.directory !== undefined && { cwd: service.directory },
    ...rights.ids,
    detached: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

interface Rights {
  readonly ids?: { readonly uid: number; readonly gid: number };
  /** What the command is started by. */
  readonly prefix?: readonly string[];
}

/** A user's, and whatever of root's the program cannot do without: that alone, and it gets no others later. */
async function rightsOf(
  service: Service,
  { name, uid, gid }: Account,
  { path, log }: { readonly path: string; readonly log: Log },
): Promise<Rights> {
  const { capabilities } = needsOf(service);
  if (capabilities.length === 0) return { ids: { uid, gid } };
  if (!await findProgram("setpriv", path)) {
    throw new CulvertError(
      "no_program",
      `Cannot start ${service.name} as ${name} with ${capabilities.join(", ")}: setpriv must be installed (util-linux)`,
    );
  }
  // In a container root itself may have less, and what is not there cannot be given.
  const own = await ownCapabilities();
  const missing = capabilities.filter((capability) => !own.has(capability));
  if (missing.length > 0) {
    log.warn("A service asks for rights that the manager has not", { service: service.name, missing: missing.join() });
  }
  const given = capabilities.filter((capability) => own.has(capability));
  const set = ["-all", ...given.map((capability) => `+${capability.replace(/^CAP_/, "").toLowerCase()}`)].join();
  const sets = ["inh-caps", "ambient-caps", "bounding-set"].map((kind) => `--${kind}=${set}`);
  return {
    prefix: ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs", ...sets, "--"],
  };
}

async function ownCapabilities(): Promise<ReadonlySet<string>> {
  const { stdout } = await new Deno.Command("setpriv", { args: ["--dump"], stdin: "null", stderr: "null" }).output();
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
  return { ...environment, NOTIFY_SOCKET: notifyPath, WATCHDOG_USEC: String(HUNG_AFTER_MS * 1000) };
}

async function checkProgram({ name, command: [program] }: Service, path: string): Promise<void> {
  if (await findProgram(program, path)) return;
  throw new CulvertError("no_program", `Cannot start ${name}: ${program} must be a program, and there is none`);
}

async function findProgram(program: string, path: string): Promise<boolean> {
  const places = program.includes("/") ? [program] : path.split(":").map((folder) => join(folder, program));
  for (const place of places) if (await isProgram(place)) return true;
  return false;
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
