/**
 * Programs that a test or a benchmark runs beside itself, each its own process. One line of JSON on standard output says
 * that it is ready; disposing ends it by its pid.
 */

import { type Clock, clockOf, delay } from "../protocol/clock.ts";
import { parseTarget, type Target } from "../protocol/stream.ts";

export interface ProgramOptions {
  readonly env?: Record<string, string>;
  /** Keep quiet about what it says on standard error; for rivals that chat. */
  readonly quiet?: boolean;
}

/** How long a program may take from SIGTERM to its end before SIGKILL. */
const STOP_MS = 10_000;
const READY_MS = 20_000;

export class Program implements AsyncDisposable {
  readonly pid: number;
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #clock: Clock = clockOf(globalThis);

  constructor(command: readonly [string, ...string[]], options: ProgramOptions = {}) {
    const [program, ...args] = command;
    this.#name = command.slice(0, 6).join(" ");
    this.#child = new Deno.Command(program, {
      args,
      ...options.env && { env: options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: options.quiet ? "null" : "inherit",
    }).spawn();
    this.pid = this.#child.pid;
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(linesOf()).getReader();
  }

  /** The next line it prints, as JSON. Rejects if it ends instead or says nothing for too long. */
  async readJson(timeoutMs = READY_MS): Promise<Record<string, unknown>> {
    return JSON.parse(await this.readLine(timeoutMs));
  }

  /** The next line it prints. Rejects if it ends instead or says nothing for too long. */
  async readLine(timeoutMs = READY_MS): Promise<string> {
    const silence = new AbortController();
    const line = await Promise.race([
      this.#lines.read(),
      delay(this.#clock, timeoutMs, silence.signal).then(() => {
        throw new Error(`Cannot run "${this.#name}": it said nothing within ${timeoutMs} ms`);
      }),
    ]).finally(() => silence.abort());
    if (line.value === undefined) throw new Error(`Cannot run "${this.#name}": it ended without an answer`);
    return line.value;
  }

  /** Says a line to it on its standard input, and gives the line it prints next, as JSON. */
  async ask(line: string, timeoutMs = READY_MS): Promise<Record<string, unknown>> {
    const input = this.#child.stdin.getWriter();
    try {
      await input.write(new TextEncoder().encode(`${line}\n`));
    } finally {
      input.releaseLock();
    }
    return await this.readJson(timeoutMs);
  }

  /** Waits until a program that says nothing accepts connections. */
  async waitForPort(target: Target): Promise<void> {
    const untilMs = this.#clock.now() + READY_MS;
    for (;;) {
      try {
        (await Deno.connect({ hostname: target.host, port: target.port })).close();
        return;
      } catch (cause) {
        if (this.#clock.now() > untilMs) {
          throw new Error(`Cannot run "${this.#name}": nothing listens on port ${target.port}`, { cause });
        }
        await delay(this.#clock, 20);
      }
    }
  }

  /** Resident memory in KiB. */
  async rssKib(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]);
  }

  /** Milliseconds of processor time that its living threads have used. */
  async cpuMs(): Promise<number> {
    let nanoseconds = 0;
    for await (const { name } of Deno.readDir(`/proc/${this.pid}/task`)) {
      const schedstat = await Deno.readTextFile(`/proc/${this.pid}/task/${name}/schedstat`);
      nanoseconds += Number(schedstat.split(" ")[0]);
    }
    return nanoseconds / 1e6;
  }

  /** How many files and sockets it may have open. */
  async openFilesLimit(): Promise<number> {
    const limits = await Deno.readTextFile(`/proc/${this.pid}/limits`);
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  }

  /** Resident memory once it has stopped moving, or after three seconds. */
  async settledRssKib(): Promise<number> {
    let previous = await this.rssKib();
    for (let round = 0, calm = 0; round < 15 && calm < 3; round++) {
      await delay(this.#clock, 200);
      const current = await this.rssKib();
      calm = Math.abs(current - previous) < previous / 100 ? calm + 1 : 0;
      previous = current;
    }
    return previous;
  }

  /** Closes its standard input, which tells our load programs to stop, then ends it; gives its exit code. */
  async stop(): Promise<number> {
    await this.#child.stdin.close().catch(() => {});
    this.#kill("SIGTERM");
    const patience = new AbortController();
    const kill = delay(this.#clock, STOP_MS, patience.signal).then(() => this.#kill("SIGKILL"), () => {});
    const { code } = await this.#child.status;
    patience.abort();
    await kill;
    await this.#lines.cancel().catch(() => {});
    return code;
  }

  /** Waits until it ends by itself, and gives its exit code. */
  async ended(): Promise<number> {
    return (await this.#child.status).code;
  }

  /** SIGKILL: it ends at once, without a chance to tell anyone. */
  crash(): void {
    this.#kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #kill(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  }
}

/** The address that a ready line names: `{"addresses": {"listen": "127.0.0.1:1080"}}`. */
export function listenAddress(ready: Record<string, unknown>): Target {
  const { listen } = ready.addresses as { listen: string };
  const target = parseTarget(listen.replace(/^\w+:\/\//, "").replace(/\/.*$/, ""));
  if (!target) throw new Error(`Cannot read a ready line: listen must be host:port, got ${listen}`);
  return target;
}

/** Below those that the system gives to outgoing connections, which a benchmark can use up for a minute. */
const FREE_PORTS = { first: 20_000, count: 10_000 } as const;

/** A port that was free a moment ago. */
export function freePort(): number {
  // From a place of chance: whoever asks twice before using the first must not get it again.
  const start = crypto.getRandomValues(new Uint32Array(1))[0]! % FREE_PORTS.count;
  for (let turn = 0; turn < FREE_PORTS.count; turn++) {
    const port = FREE_PORTS.first + (start + turn) % FREE_PORTS.count;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("Cannot find a free port: every one from 20000 to 29999 is taken");
}

/** Text in whatever pieces to whole lines; what follows the last line's end is dropped. */
export function linesOf(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(text, controller) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) controller.enqueue(line);
    },
  });
}
