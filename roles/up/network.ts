/**
 * The small network of `culvert up` while it runs: each part in a Worker of its own, as it would be a process of its own
 * elsewhere. They speak over real sockets on loopback.
 *
 *   base ─▶ both supernodes ─▶ exit-1 ─▶ client ─▶ first page ─▶ exit-2
 *
 * In that order, so that traffic leaves through exit-1 until something happens to it. All load at once.
 */

import { join } from "@std/path";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import type { Log } from "../../protocol/log.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import { PART_NAMES, type PartName, PARTS, settingsOf } from "./parts.ts";
import { findRoute, type FoundRoute, type Travel } from "./route.ts";
import { WorkerRole } from "./worker_role.ts";

export interface NetworkOptions {
  /** Where programs are to find the proxy. */
  readonly listen: string;
  readonly egressPolicy: string | undefined;
  /** Where the parts keep keys and state, each in a directory of its name. */
  readonly directory: string;
  readonly context: RoleContext;
}

/** As much of it as people ask about and do to it. */
export type WatchedNetwork = Pick<
  SmallNetwork,
  "addressOf" | "findRoute" | "isRunning" | "kill" | "partsOf" | "peerIdOf" | "restart"
>;

/** How long the first page may take to come. */
const FIRST_PAGE_MS = 20_000;

export class SmallNetwork implements AsyncDisposable {
  readonly #options: NetworkOptions;
  readonly #parts = new Map<PartName, WorkerRole>();
  readonly #addresses: Partial<Record<PartName, Readonly<Record<string, string>>>> = {};
  /** What the peers are called here, by their ids. */
  readonly #names = new Map<string, PartName>();
  readonly #fault = Promise.withResolvers<never>();

  private constructor(options: NetworkOptions) {
    this.#options = options;
    this.#fault.promise.catch(() => {});
    for (const name of PART_NAMES) this.#load(name);
  }

  /** Settles when traffic flows. */
  static async start(options: NetworkOptions): Promise<SmallNetwork> {
    await using starting = new AsyncDisposableStack();
    const network = starting.use(new SmallNetwork(options));
    await network.#nameParts();
    await network.#start("base");
    await Promise.all([network.#start("supernode-north"), network.#start("supernode-south")]);
    await network.#start("exit-1");
    await network.#start("client");
    const first = await network.findRoute(FIRST_PAGE_MS);
    if (!first) throw new CulvertError("no_route", "Cannot start up: no stream has come through");
    await network.#start("exit-2");
    starting.move();
    return network;
  }

  /** Where programs find the proxy. */
  get proxy(): string {
    return this.#addresses.client!.listen!;
  }

  /** Where a part can be reached; undefined for one that needs not be reached. */
  addressOf(name: PartName): string | undefined {
    return this.#addresses[name]?.listen;
  }

  /** By which it is known on the page; base is no peer. */
  peerIdOf(name: PartName): string | undefined {
    return [...this.#names].find(([, named]) => named === name)?.[0];
  }

  stateDirOf(name: PartName): string {
    return join(this.#options.directory, name);
  }

  isRunning(name: PartName): boolean {
    return this.#parts.has(name);
  }

  /** Why a part does not run that should. */
  failureOf(name: PartName): string | undefined {
    return this.#parts.get(name)?.failure;
  }

  /** Rejects when a part has ended by itself. */
  get fault(): Promise<never> {
    return this.#fault.promise;
  }

  /** The way a stream takes now, as soon as one comes through. */
  findRoute(withinMs: number): Promise<FoundRoute | undefined> {
    const { clock, signal } = this.#options.context;
    return findRoute({ proxy: this.proxy, clock, signal }, withinMs);
  }

  /** The parts that a stream has passed, in their order. */
  partsOf({ hops }: Travel): PartName[] {
    return hops.map(({ at }) => this.#names.get(at)).filter((name) => name !== undefined);
  }

  /** Ends a part at once, without a chance to tell the others. False if it does not run. */
  kill(name: PartName): boolean {
    const part = this.#parts.get(name);
    this.#parts.delete(name);
    part?.kill();
    return part !== undefined;
  }

  /** Starts a part that was killed, with the keys and state it had. False if it runs. */
  async restart(name: PartName): Promise<boolean> {
    if (this.#parts.has(name)) return false;
    this.#load(name);
    await this.#start(name);
    return true;
  }

  /** Stops it part by part, those first that others are of use to; ends what is left when `cut` is aborted. */
  async stop(cut?: AbortSignal): Promise<void> {
    for (const name of [...PART_NAMES].reverse()) {
      const part = this.#parts.get(name);
      this.#parts.delete(name);
      await part?.stop(cut);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #load(name: PartName): void {
    const part = new WorkerRole(PARTS[name].role, name, quieter(this.#options.context.log));
    this.#parts.set(name, part);
    const end = (error?: unknown) => {
      if (this.#parts.get(name) === part) this.#fault.reject(error ?? new CulvertError("ended", `${name} has ended`));
    };
    part.ended.then(end, end);
  }

  async #start(name: PartName): Promise<void> {
    const { listen, egressPolicy } = this.#options;
    const part = this.#parts.get(name)!;
    const addresses = this.#addresses;
    await part.start(settingsOf(name, { listen, egressPolicy, stateDir: this.stateDirOf(name), addresses }));
    addresses[name] = part.addresses;
  }

  /** Gives each peer its keys, so that it is known by its id. */
  async #nameParts(): Promise<void> {
    const { context: { random, clock, signal } } = this.#options;
    const primitives = hostPrimitives();
    await Promise.all(
      PART_NAMES.filter((name) => name !== "base").map(async (name) => {
        const state = await StateDirectory.open(this.stateDirOf(name));
        const { identity } = await loadOrCreateIdentity(state, { random, primitives, clock, signal });
        this.#names.set(identity.peerId, name);
      }),
    );
  }
}

/** What parts say of their everyday business is for who asks for it. */
function quieter(log: Log): Log {
  return {
    debug: (message, fields) => log.debug(message, fields),
    info: (message, fields) => log.debug(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    error: (message, fields) => log.error(message, fields),
    with: (fields) => quieter(log.with(fields)),
  };
}
