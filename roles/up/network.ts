/**
 * The small network of `culvert up` while it runs. Its parts speak over real sockets on loopback.
 *
 *   base ─▶ both supernodes ─▶ exit-1 ─▶ client ─▶ first page ─▶ exit-2
 *
 * In that order, so that traffic leaves through exit-1 until something happens to it.
 */

import { join } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import { type Addresses, PART_NAMES, type PartName, PARTS, settingsOf } from "./parts.ts";
import { PeerNames } from "./peer_names.ts";
import { findRoute, type FoundRoute, type Travel } from "./route.ts";
import { RunningParts } from "./running_parts.ts";
import { partLines } from "./show.ts";
import { onceBegun, type RunningNetwork } from "./watched_network.ts";

export interface NetworkOptions {
  /** Where programs are to find the proxy. */
  readonly listen: string;
  readonly egressPolicy: string | undefined;
  /** Where the parts keep keys and state, each in a directory of its name. */
  readonly directory: string;
  readonly context: RoleContext;
}

/** How long the first page may take to come. */
const FIRST_PAGE_MS = 20_000;

export class SmallNetwork implements RunningNetwork {
  readonly names = PART_NAMES;
  readonly entrance = "client";
  readonly #options: NetworkOptions;
  readonly #parts: RunningParts<PartName>;
  readonly #peers: PeerNames<PartName>;

  private constructor(options: NetworkOptions) {
    this.#options = options;
    this.#peers = new PeerNames(options.context);
    this.#parts = new RunningParts(PART_NAMES.map((name) => ({ name, role: PARTS[name].role })), options.context.log);
  }

  /** Settles when traffic flows. */
  static start(options: NetworkOptions): Promise<SmallNetwork> {
    const network = new SmallNetwork(options);
    return onceBegun(network, network.#begin(), options.context.signal);
  }

  /** Where programs find the proxy. */
  get proxy(): string {
    return this.#parts.addressesOf("client")!.listen!;
  }

  /** Where a part can be reached; undefined for one that needs not be reached. */
  addressOf(name: PartName): string | undefined {
    return this.#parts.addressesOf(name)?.listen;
  }

  lines(): string[] {
    return partLines({
      addressOf: (name) => this.addressOf(name),
      isRunning: (name) => this.isRunning(name),
      peerIdOf: (name) => this.#peers.peerIdOf(name),
    });
  }

  stateDirOf(name: PartName): string {
    return join(this.#options.directory, name);
  }

  isRunning(name: PartName): boolean {
    return this.#parts.isRunning(name);
  }

  isTold(): boolean {
    return true;
  }

  failureOf(name: PartName): string | undefined {
    return this.#parts.failureOf(name);
  }

  /** Rejects when a part has ended by itself. */
  get fault(): Promise<never> {
    return this.#parts.fault;
  }

  findRoute(withinMs: number): Promise<FoundRoute | undefined> {
    const { clock, signal } = this.#options.context;
    return findRoute({ proxy: this.proxy, clock, signal }, withinMs);
  }

  partsOf({ hops }: Travel): PartName[] {
    return hops.map(({ at }) => this.#peers.nameOf(at)).filter((name) => name !== undefined);
  }

  kill(name: PartName): boolean {
    return this.#parts.kill(name);
  }

  async restart(name: PartName): Promise<boolean> {
    if (this.#parts.isRunning(name)) return false;
    await this.#start(name);
    return true;
  }

  /** Stops it part by part, those first that others are of use to; ends what is left when `cut` is aborted. */
  async stop(cut?: AbortSignal): Promise<void> {
    await this.#parts.stop(cut);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #begin(): Promise<void> {
    await this.#nameParts();
    await this.#start("base");
    await Promise.all([this.#start("supernode-north"), this.#start("supernode-south")]);
    await this.#start("exit-1");
    await this.#start("client");
    const first = await this.findRoute(FIRST_PAGE_MS);
    if (!first) throw new CulvertError("no_route", "Cannot start up: no stream has come through");
    await this.#start("exit-2");
    this.#parts.settled();
  }

  async #start(name: PartName): Promise<void> {
    const { listen, egressPolicy } = this.#options;
    const addresses: Addresses = Object.fromEntries(PART_NAMES.map((each) => [each, this.#parts.addressesOf(each)]));
    const wishes = { listen, egressPolicy, stateDir: this.stateDirOf(name), addresses };
    await this.#parts.start(name, settingsOf(name, wishes));
  }

  async #nameParts(): Promise<void> {
    const peers = PART_NAMES.filter((name) => name !== "base");
    await Promise.all(peers.map((name) => this.#peers.add(name, this.stateDirOf(name))));
  }
}
