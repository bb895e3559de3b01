/**
 * A reader's machine, with a shell that is told what to type (`machine.sh`).
 */

import { fromFileUrl, join } from "@std/path";
import type { NetNamespace } from "../../../testing/netns.ts";
import { eventually, PATIENCE_MS } from "../../../testing/waiting.ts";

const SCRIPT = fromFileUrl(new URL("machine.sh", import.meta.url));
const CHECKOUT = fromFileUrl(new URL("../../../", import.meta.url)).replace(/\/$/, "");
const UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];

/** Something that was typed. */
export interface Order {
  readonly text: string;
  /** Everything it has printed so far, on both outputs. */
  output(): string;
  /** Its exit code; undefined while it runs. */
  code(): number | undefined;
}

export interface TypeOptions {
  /** What stands on its standard input. */
  readonly input?: string | undefined;
  readonly limitMs?: number | undefined;
}

export class Machine {
  readonly name: string;
  readonly #folder: string;
  readonly #shell: WritableStreamDefaultWriter<Uint8Array>;
  #orders = 0;

  /** `shared` is the folder of what the machines of a story have in common. */
  constructor(name: string, namespace: NetNamespace, shared: string, denoCache: string) {
    this.name = name;
    this.#folder = join(shared, "orders", name);
    Deno.mkdirSync(this.#folder, { recursive: true });
    const command = [...UNSHARE, "bash", SCRIPT, this.#folder, shared, CHECKOUT, Deno.execPath(), denoCache];
    const child = namespace.spawn(command, { stdin: "piped", stdout: "inherit", stderr: "inherit" });
    this.#shell = child.stdin.getWriter();
  }

  /** Types a line and waits for its end. */
  async run(text: string, { input, limitMs = PATIENCE_MS }: TypeOptions = {}): Promise<Order & { code(): number }> {
    const order = await this.#give("run", text, input);
    await eventually(`the end of "${text}"`, () => order.code() !== undefined, { limitMs, instead: order.output });
    return order as Order & { code(): number };
  }

  /** Starts what stays; `stop` ends it. */
  async start(text: string, { input }: TypeOptions = {}): Promise<Running> {
    const order = await this.#give("start", text, input);
    return new Running(this, order, `$ORDERS/${this.#orders}.pid`);
  }

  async #give(verb: "run" | "start", text: string, input?: string): Promise<Order> {
    const file = join(this.#folder, `${++this.#orders}`);
    await Deno.writeTextFile(`${file}.sh`, `${text}\n`);
    if (input !== undefined) await Deno.writeTextFile(`${file}.in`, input);
    await this.#shell.write(new TextEncoder().encode(`${verb} ${this.#orders}\n`));
    return {
      text,
      output: () => read(`${file}.out`) ?? "",
      code() {
        const code = read(`${file}.code`);
        return code === undefined ? undefined : Number(code);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A machine that fell over has said why by itself.
    await this.#shell.close().catch(() => {});
  }
}

/** A program that stays until it is stopped. */
export class Running {
  readonly order: Order;
  readonly machine: Machine;
  readonly #pidFile: string;

  constructor(machine: Machine, order: Order, pidFile: string) {
    this.machine = machine;
    this.order = order;
    this.#pidFile = pidFile;
  }

  /** Waits until it has printed that; fails when it ends instead. */
  async prints(pattern: RegExp): Promise<void> {
    const { text, output, code } = this.order;
    await eventually(`${pattern} of "${text}"`, () => pattern.test(output()) || code() !== undefined, {
      instead: output,
    });
    if (!pattern.test(output())) {
      throw new Error(`"${text}" ended with ${code()} before it printed ${pattern}:\n${output()}`);
    }
  }

  /** SIGTERM, as `kill` and systemd send it; gives the exit code. */
  async stop(): Promise<number> {
    const { text, output, code } = this.order;
    if (code() === undefined) await this.machine.run(`sudo kill -TERM $(cat ${this.#pidFile})`);
    await eventually(`the end of "${text}"`, () => code() !== undefined, { instead: output });
    return code()!;
  }
}

function read(file: string): string | undefined {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
