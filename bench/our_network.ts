/**
 * Culvert's control plane as its operators start it: base, supernodes, exits and clients, each a process with a state
 * directory of its own, told by flags and telling by its ready line. With `ours.ts` the only place in the benchmarks
 * that knows the roles' flags.
 */

import { formatTarget, parseTarget, type Target } from "../protocol/stream.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { loadIdentity } from "../roles/identity_store.ts";
import { StateDirectory } from "../roles/state.ts";
import { freePort, type Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { heldKib } from "./heap.ts";
import { denoProgram, inspectedProgram } from "./loads.ts";
import { type Samples, samplesOf } from "./samples.ts";

export const ADMIN_TOKEN = "the-token-of-this-benchmark";
/** The load is thousands of peers at one address. */
const AUTH_PER_S = 1_000_000;
/** An exit that carries more than it has said takes no more clients. */
const BANDWIDTH_MBPS = 100_000;
/** Longer than a benchmark lasts: peers that are told to leave do not. */
const LEAVE_WITHIN_MS = 3_600_000;

/** The source of the loads is on this machine, which an egress does not reach unless told to. */
const POLICY = 'allow_addresses = ["loopback"]\n';

interface MemberPlaces {
  readonly stateDir: string;
  readonly metrics: Target;
  readonly inspectorPort?: number;
}

/** A role in a process, which can be killed and started again as what it was. */
export class Member {
  readonly #start: () => Program;
  #program: Program;
  /** What its ready line has named, by what it is called there. */
  #addresses: Readonly<Record<string, string>> = {};
  #peerId = "";
  readonly #at: MemberPlaces;

  private constructor(start: () => Program, at: MemberPlaces) {
    this.#start = start;
    this.#program = start();
    this.#at = at;
  }

  static async start(start: () => Program, at: MemberPlaces): Promise<Member> {
    const member = new Member(start, at);
    await member.#ready();
    return member;
  }

  get program(): Program {
    return this.#program;
  }

  address(name: string): string {
    const address = this.#addresses[name];
    if (address === undefined) throw new Error(`Cannot find ${name} in a ready line: it names none`);
    return address;
  }

  get peerId(): string {
    return this.#peerId;
  }

  /** SIGKILL, and what it was is gone when this settles. */
  async kill(): Promise<void> {
    this.#program.crash();
    await this.#program.stop();
  }

  /** Starts it again after `kill`; settles when it is ready. */
  async restart(): Promise<void> {
    this.#program = this.#start();
    await this.#ready();
  }

  /** What its metrics say now. */
  async samples(): Promise<Samples> {
    const response = await fetch(`http://${formatTarget(this.#at.metrics)}/metrics`);
    return samplesOf(await response.text());
  }

  /** What it holds when all that is of no use is collected; only of those that are inspected. */
  heldKib(): Promise<number> {
    return heldKib(this.#at.inspectorPort!);
  }

  async #ready(): Promise<void> {
    const { addresses } = await this.#program.readJson() as { addresses: Record<string, string> };
    this.#addresses = addresses;
    const identity = await loadIdentity(await StateDirectory.open(this.#at.stateDir), hostPrimitives());
    this.#peerId = identity?.peerId ?? "";
  }
}

export interface SupernodeSettings {
  readonly region: string;
  readonly base?: Member;
  /** Several may share one. */
  readonly kv?: string;
  readonly maxStreams?: number;
}

interface StartOptions {
  readonly name: string;
  readonly flags: readonly string[];
  readonly inspectorPort?: number;
}

/** Roles that belong together; disposing ends them all. */
export class OurNetwork implements AsyncDisposable {
  readonly #folder = new TempDirectory();
  readonly #members: Member[] = [];

  /** A place for a file that is gone when this is. */
  path(name: string): string {
    return this.#folder.path(name);
  }

  /** Lets an egress reach the source of the loads. */
  async policyFlags(): Promise<string[]> {
    const policy = this.path("policy.toml");
    await Deno.writeTextFile(policy, POLICY);
    return ["--egress-policy", policy];
  }

  /** Without `kv` its records are below its state directory. */
  startBase({ kv }: { readonly kv?: string } = {}): Promise<Member> {
    const flags = [
      ...["--listen", `127.0.0.1:${freePort()}`],
      ...["--admin-listen", `127.0.0.1:${freePort()}`, "--admin-token", ADMIN_TOKEN],
      ...kv === undefined ? [] : ["--kv", kv],
    ];
    return this.start("base", "base", flags);
  }

  startSupernode({ region, base, kv, maxStreams }: SupernodeSettings): Promise<Member> {
    const flags = [
      ...["--region", region, "--listen", `127.0.0.1:${freePort()}`, "--auth-rate", `${AUTH_PER_S}`],
      ...["--admin-listen", `127.0.0.1:${freePort()}`, "--admin-token", ADMIN_TOKEN],
      ...base ? ["--base", `http://${base.address("listen")}`] : [],
      ...kv === undefined ? [] : ["--kv", kv],
      ...maxStreams === undefined ? [] : ["--max-streams", `${maxStreams}`],
    ];
    return this.start("supernode", `supernode-${this.#members.length}`, flags);
  }

  async startExit(at: Member, region: string): Promise<Member> {
    const flags = [
      ...["--region", region, "--supernode", at.address("supernode")],
      ...await this.policyFlags(),
      ...["--bandwidth", `${BANDWIDTH_MBPS}`],
    ];
    return await this.start("exit", `exit-${this.#members.length}`, flags);
  }

  /** A client that wants an exit of that region. */
  startClient(at: Member, region: string): Promise<Member> {
    const listen = ["--listen", `127.0.0.1:${freePort()}`];
    const flags = [...listen, "--region", region, "--supernode", at.address("supernode")];
    return this.start("client", `client-${this.#members.length}`, flags);
  }

  /** Has a supernode tell all its peers at once to leave some time, which none does: it names no other. */
  async tellAll(supernode: Member): Promise<void> {
    await askAdmin(supernode, "/v1/drain", { leaveWithinMs: LEAVE_WITHIN_MS });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(({ program }) => program.stop()));
    this.#folder[Symbol.dispose]();
  }

  /** Any role, with flags beside those that all get. */
  start(role: string, name: string, flags: readonly string[]): Promise<Member> {
    return this.#start(role, { name, flags });
  }

  /** The same of one that can be asked what it holds. */
  startInspected(role: string, name: string, flags: readonly string[]): Promise<Member> {
    return this.#start(role, { name, flags, inspectorPort: freePort() });
  }

  async #start(role: string, { name, flags, inspectorPort }: StartOptions): Promise<Member> {
    const metrics = { host: "127.0.0.1", port: freePort() };
    const stateDir = this.path(name);
    const usual = [
      ...["--state-dir", stateDir, "--metrics-listen", formatTarget(metrics)],
      ...["--json", "--log-level", "error"],
    ];
    const args = [role, ...usual, ...flags];
    const start = () =>
      inspectorPort === undefined
        ? denoProgram("roles/main.ts", args)
        : inspectedProgram("roles/main.ts", args, { inspectorPort });
    const member = await Member.start(start, {
      stateDir,
      metrics,
      ...(inspectorPort !== undefined && { inspectorPort }),
    });
    this.#members.push(member);
    return member;
  }
}

/** Where a member speaks SOCKS5. */
export function proxyOf(client: Member): Target {
  return parseTarget(client.address("listen"))!;
}

async function askAdmin(supernode: Member, path: string, body: object): Promise<void> {
  const response = await fetch(`http://${supernode.address("admin")}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`Cannot tell peers: the supernode answered ${response.status} ${text}`);
}
