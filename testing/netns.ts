/**
 * Network namespaces joined by veth pairs, for tests that need a real network stack and root:
 *
 *   await using lab = await NetLab.open();
 *   const client = await lab.namespace("client"), server = await lab.namespace("server");
 *   await lab.connect(client, "10.77.0.1/24", server, "10.77.0.2/24");
 *   await client.run(["ping", "-c1", "10.77.0.2"]);
 *
 * or by a bridge, to which any number is plugged:
 *
 *   const bridge = await lab.bridge("backbone");
 *   await lab.plug(client, bridge, ["10.77.0.1/24", "fd77::1/64"]);
 *
 * Disposing ends every process in the namespaces and removes them, and with them their interfaces, routes and rules;
 * where one step fails the others are still taken, and the failure is thrown at the end.
 * Names carry the pid of the test, `culvert-test-<pid>-<name>`; what a killed test left behind is removed by the next.
 */

import { findTool } from "./requirements.ts";

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly env?: Record<string, string>;
  /** Give back a failure instead of throwing it. */
  readonly mayFail?: boolean;
}

const PREFIX = "culvert-test-";
const BRIDGE = "bridge";

export class NetLab implements AsyncDisposable {
  readonly #namespaces = new AsyncDisposableStack();

  private constructor() {}

  /** Removes what dead tests left, then gives an empty lab. */
  static async open(): Promise<NetLab> {
    await removeStale();
    return new NetLab();
  }

  /** A new namespace with its loopback up. The name is for people: letters, digits, hyphens. */
  async namespace(name: string): Promise<NetNamespace> {
    const namespace = new NetNamespace(`${PREFIX}${Deno.pid}-${name}`);
    await run(["ip", "netns", "add", namespace.name]);
    this.#namespaces.use(namespace);
    await forgetJournals(namespace.name);
    await namespace.run(["ip", "link", "set", "lo", "up"]);
    return namespace;
  }

  /** Joins two namespaces by a veth pair with these addresses; gives the interfaces' names. */
  async connect(
    a: NetNamespace,
    addressA: string,
    b: NetNamespace,
    addressB: string,
  ): Promise<[interfaceA: string, interfaceB: string]> {
    const [nameA, nameB] = [a.nextInterface(), b.nextInterface()];
    const peer = ["peer", "name", nameB, "netns", b.name];
    await run(["ip", "link", "add", nameA, "netns", a.name, "type", "veth", ...peer]);
    await bringUp(a, nameA, [addressA]);
    await bringUp(b, nameB, [addressB]);
    return [nameA, nameB];
  }

  /** A namespace that is nothing but a switch, for `plug`. */
  async bridge(name: string): Promise<NetNamespace> {
    const namespace = await this.namespace(name);
    await namespace.run(["ip", "link", "add", BRIDGE, "type", "bridge"]);
    await namespace.run(["ip", "link", "set", BRIDGE, "up"]);
    return namespace;
  }

  /** Joins a namespace to a bridge, with these addresses on its side; gives the interface's name there. */
  async plug(namespace: NetNamespace, bridge: NetNamespace, addresses: readonly string[]): Promise<string> {
    const [name, port] = [namespace.nextInterface(), bridge.nextInterface()];
    const peer = ["peer", "name", port, "netns", bridge.name];
    await run(["ip", "link", "add", name, "netns", namespace.name, "type", "veth", ...peer]);
    await bridge.run(["ip", "link", "set", port, "master", BRIDGE, "up"]);
    await bringUp(namespace, name, addresses);
    return name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespaces.disposeAsync();
  }
}

export class NetNamespace implements AsyncDisposable {
  readonly name: string;
  readonly #children: Deno.ChildProcess[] = [];
  #interfaces = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The command line that runs a command inside, for those who start processes themselves. */
  inside(command: readonly string[]): [string, ...string[]] {
    return [tool("ip"), "netns", "exec", this.name, ...command];
  }

  /** Runs a command inside and waits for it; throws with its output when it fails. */
  run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(this.inside(command), options);
  }

  /** Starts a command inside; disposing the namespace ends it. */
  spawn(command: readonly string[], options: Omit<Deno.CommandOptions, "args"> = {}): Deno.ChildProcess {
    const [program, ...args] = this.inside(command);
    const child = new Deno.Command(program, { ...options, args }).spawn();
    this.#children.push(child);
    return child;
  }

  /** Every process inside. */
  pids(): Promise<number[]> {
    return pidsIn(this.name);
  }

  nextInterface(): string {
    return `eth${this.#interfaces++}`;
  }

  /** The children by their own pids, before those the kernel lists: a child may not have entered the namespace yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    await using steps = new AsyncDisposableStack();
    steps.defer(() => removeNamespace(this.name));
    for (const child of this.#children.splice(0)) steps.defer(() => end(child));
  }
}

/** Where roles note what they change in a namespace, by its number (`roles/machine/journal.ts`). */
const JOURNALS = "/run/culvert/machine";

/** Numbers of namespaces that are gone are used again: what was killed in an earlier one has left nothing in this one. */
async function forgetJournals(name: string): Promise<void> {
  const { ino } = await Deno.stat(`/run/netns/${name}`);
  const entries = await Array.fromAsync(Deno.readDir(JOURNALS)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  for (const entry of entries) {
    if (entry.name.endsWith(`.${ino}`)) await Deno.remove(`${JOURNALS}/${entry.name}`);
  }
}

async function bringUp(namespace: NetNamespace, name: string, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    // Without duplicate address detection a v6 address is usable at once.
    await namespace.run(["ip", "address", "add", address, "dev", name, ...address.includes(":") ? ["nodad"] : []]);
  }
  await namespace.run(["ip", "link", "set", name, "up"]);
}

/** Removes the namespaces of tests that are no longer alive. */
export async function removeStale(): Promise<void> {
  const { stdout } = await run(["ip", "netns", "list"]);
  for (const line of stdout.split("\n")) {
    const [, name, pid] = /^(culvert-test-(\d+)-\S+)/.exec(line) ?? [];
    if (name && pid && !isAlive(Number(pid))) await removeNamespace(name);
  }
}

/** Rounds of killing what is listed: a process may start another between the list and its end. */
const KILL_ROUNDS = 100;

/** Ends what runs inside, then removes the name; the kernel frees the rest with the last process. */
async function removeNamespace(name: string): Promise<void> {
  await using steps = new AsyncDisposableStack();
  steps.defer(async () => void await run(["ip", "netns", "delete", name], { mayFail: true }));
  for (let round = 0, pids = await pidsIn(name); pids.length > 0; round++, pids = await pidsIn(name)) {
    if (round === KILL_ROUNDS) throw new Error(`Cannot empty ${name}: still running there: ${pids.join(", ")}`);
    for (const pid of pids) kill(pid);
  }
}

async function pidsIn(name: string): Promise<number[]> {
  const { stdout } = await run(["ip", "netns", "pids", name], { mayFail: true });
  return stdout.split(/\s+/).filter((word) => word !== "").map(Number);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // What Deno throws once it knows that the child has ended.
    if (!(error instanceof TypeError)) throw error;
  }
  await child.status;
}

function isAlive(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

async function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { mayFail = false, signal, env } = options;
  const [program, ...args] = command as [string, ...string[]];
  const output = await new Deno.Command(tool(program), { args, ...signal && { signal }, ...env && { env } }).output();
  const result = {
    code: output.code,
    stdout: new TextDecoder().decode(output.stdout),
    stderr: new TextDecoder().decode(output.stderr),
  };
  if (!mayFail && !output.success) {
    throw new Error(
      `Cannot run "${command.join(" ")}": it exited with ${result.code}: ${result.stderr || result.stdout}`,
    );
  }
  return result;
}

function tool(name: string): string {
  return findTool(name) ?? name;
}
