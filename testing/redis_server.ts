/**
 * A Redis server of a test's own, on a free port of 127.0.0.1 and a Unix socket, without a file on the disk: what is in
 * it is gone when it stops. Disposing it leaves nothing behind.
 *
 *   await using server = await RedisServer.start();
 *
 * It is a daemon of its own rather than a child, so that a test in which it stops and starts has no waits left over. No
 * client is in here: tests bring theirs.
 */

import { freePort } from "./program.ts";
import { findTool, type Needs } from "./requirements.ts";
import { TempDirectory } from "./temp_directory.ts";
import { eventually } from "./waiting.ts";

/** For `testWith`. */
export const REDIS_NEEDS: Needs = { tools: ["redis-server"] };

/** How long a server may take to be ready; more than once is tried, since its port may be taken meanwhile. */
const START_MS = 5_000;

export class RedisServer implements AsyncDisposable {
  readonly #folder = new TempDirectory();
  #port = 0;
  #pid: number | undefined;

  private constructor() {}

  static async start(): Promise<RedisServer> {
    const server = new RedisServer();
    try {
      await server.#startOnFreePort();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get socketPath(): string {
    return this.#folder.path("redis.sock");
  }

  /** Starts it again after `stop`, on the same port and empty. */
  async resume(): Promise<void> {
    const pidFile = this.#folder.path("pid");
    const settings = {
      bind: "127.0.0.1",
      port: this.#port,
      unixsocket: this.socketPath,
      dir: this.#folder.path(""),
      pidfile: pidFile,
      logfile: this.#folder.path("log"),
      save: "",
      appendonly: "no",
      daemonize: "yes",
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const tool = findTool("redis-server") ?? "redis-server";
    const { success, stdout } = await new Deno.Command(tool, { args, stdin: "null" }).output();
    if (!success) throw new Error(`Cannot run redis-server: ${new TextDecoder().decode(stdout).trim()}`);
    // Which of the two is there first depends on its version.
    await eventually("redis-server listens, and has said which process it is", async () => {
      const pid = readPid(pidFile);
      if (pid === undefined || !await this.#isListening()) return false;
      this.#pid = pid;
      return true;
    }, { limitMs: START_MS });
  }

  /** Ends it; every connection with it. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** It keeps its connections and answers nothing, until `thaw`. */
  freeze(): void {
    Deno.kill(this.#pid!, "SIGSTOP");
  }

  thaw(): void {
    Deno.kill(this.#pid!, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _folder = this.#folder;
    await this.#end("SIGKILL");
  }

  async #startOnFreePort(attempts = 3): Promise<void> {
    this.#port = freePort();
    try {
      await this.resume();
    } catch (error) {
      if (attempts === 1) throw error;
      await this.#startOnFreePort(attempts - 1);
    }
  }

  async #isListening(): Promise<boolean> {
    try {
      (await Deno.connect({ transport: "unix", path: this.socketPath })).close();
      return true;
    } catch {
      return false;
    }
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const pid = this.#pid;
    if (pid === undefined) return;
    this.#pid = undefined;
    Deno.kill(pid, signal);
    await eventually("redis-server has ended", () => !isAlive(pid));
  }
}

/** Undefined as long as the file is not there or not whole. */
function readPid(path: string): number | undefined {
  try {
    const [, pid] = /^(\d+)\n/.exec(Deno.readTextFileSync(path)) ?? [];
    return pid === undefined ? undefined : Number(pid);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** One that has ended but that nobody has buried yet counts as ended. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
