/**
 * A PostgreSQL server of a test's own: Debian's programs on a new data folder, on a free port of 127.0.0.1 and a Unix
 * socket. Nothing of the machine's own servers is touched, and disposing it leaves nothing behind.
 *
 *   await using server = await PostgresServer.start();
 *   const url = await server.createDatabase();          a new, empty database of the role `culvert`
 *
 * PostgreSQL does not run as root, so as root it runs as the user `postgres`, whom the package brings. The role `culvert`
 * is what a program would have: it owns its databases, and no more. No passwords: everything is on this machine.
 *
 * It is a daemon of its own rather than a child, so that a test in which it stops and starts has no waits left over. No
 * client is in here: tests bring theirs.
 */

import { freePort } from "./program.ts";
import { findTool, type Needs } from "./requirements.ts";
import { TempDirectory } from "./temp_directory.ts";

/** For `testWith`. */
export const POSTGRES_NEEDS: Needs = { tools: ["initdb", "pg_ctl", "psql"] };

const APP_ROLE = "culvert";
const SUPERUSER = "postgres";

export interface PostgresServerOptions {
  /** Commits wait until they are on the disk, as in earnest; for benchmarks. @default false */
  readonly isDurable?: boolean;
  readonly maxConnections?: number;
}

export class PostgresServer implements AsyncDisposable {
  readonly #folder = new TempDirectory();
  readonly #settings: readonly string[];
  #port = 0;
  #databases = 0;

  private constructor({ isDurable = false, maxConnections = 100 }: PostgresServerOptions) {
    this.#settings = [
      "listen_addresses=127.0.0.1",
      `unix_socket_directories=${this.socketFolder}`,
      `max_connections=${maxConnections}`,
      ...isDurable ? [] : ["fsync=off", "full_page_writes=off"],
    ];
  }

  static async start(options: PostgresServerOptions = {}): Promise<PostgresServer> {
    const server = new PostgresServer(options);
    try {
      await server.#create();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Holds the socket; what clients call the host when they connect through it. */
  get socketFolder(): string {
    return this.#folder.path("");
  }

  get port(): number {
    return this.#port;
  }

  /** A new, empty database; its URL, as the role that owns it. */
  async createDatabase(): Promise<string> {
    const name = `culvert_${++this.#databases}`;
    await this.query(`CREATE DATABASE ${name} OWNER ${APP_ROLE}`);
    return `postgres://${APP_ROLE}@127.0.0.1:${this.#port}/${name}`;
  }

  /** Runs a statement as the superuser; gives what it prints, a line for each row. */
  async query(statement: string, url: string = this.#superuserUrl("postgres")): Promise<string> {
    return await this.#run("psql", ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-c", statement, url]);
  }

  /** The superuser's URL of a database that `createDatabase` gave. */
  superuserUrlOf(url: string): string {
    return this.#superuserUrl(new URL(url).pathname.slice(1));
  }

  /** Starts it again after `stop` or `crash`, on the same port and with the same data. */
  async resume(): Promise<void> {
    await this.#control("start", "-l", this.#folder.path("log"), "-o", this.#commandLine());
  }

  /** Ends every connection, and the server in good order. */
  async stop(): Promise<void> {
    await this.#control("stop", "-m", "fast");
  }

  /** Ends it at once: nothing is put in order, and the next start recovers. */
  async crash(): Promise<void> {
    await this.#control("stop", "-m", "immediate");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _folder = this.#folder;
    if (await this.#isRunning()) await this.crash();
  }

  async #create(): Promise<void> {
    const user = programUser();
    if (user) Deno.chownSync(this.socketFolder, user.uid, user.gid);
    await this.#run("initdb", [
      ...["-D", this.#dataFolder, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
    ]);
    await this.#startOnFreePort();
    await this.query(`CREATE ROLE ${APP_ROLE} LOGIN`);
  }

  /** Somebody else may take a port between its being found free and its being used. */
  async #startOnFreePort(attempts = 5): Promise<void> {
    this.#port = freePort();
    try {
      await this.resume();
    } catch (error) {
      if (attempts === 1) throw error;
      await this.#startOnFreePort(attempts - 1);
    }
  }

  get #dataFolder(): string {
    return this.#folder.path("data");
  }

  #superuserUrl(database: string): string {
    return `postgres://${SUPERUSER}@127.0.0.1:${this.#port}/${database}`;
  }

  #commandLine(): string {
    return [`port=${this.#port}`, ...this.#settings].map((setting) => `-c ${setting}`).join(" ");
  }

  async #isRunning(): Promise<boolean> {
    return await this.#control("status").then(() => true, () => false);
  }

  async #control(deed: string, ...args: string[]): Promise<void> {
    await this.#run("pg_ctl", [deed, "-D", this.#dataFolder, ...deed === "status" ? [] : ["-w", "-s"], ...args]);
  }

  async #run(tool: string, args: readonly string[]): Promise<string> {
    const output = await new Deno.Command(findTool(tool) ?? tool, {
      args: [...args],
      cwd: this.socketFolder,
      env: { LC_ALL: "C" },
      stdin: "null",
      ...programUser(),
    }).output();
    const [said, complaint] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    if (!output.success) throw new Error(`Cannot run ${tool} ${args[0]}: ${complaint || said}`);
    return said!;
  }
}

/** Whom PostgreSQL's programs are run as; undefined for oneself. */
function programUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (Deno.uid() !== 0) return undefined;
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(Deno.readTextFileSync("/etc/passwd"));
  if (!entry) throw new Error("Cannot run PostgreSQL as root: there must be a user called postgres");
  return { uid: Number(entry[1]), gid: Number(entry[2]) };
}
