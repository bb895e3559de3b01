/**
 * The small network of `culvert up` while it runs. Its parts speak over real sockets on loopback.
 *
 *   base ─▶ both supernodes ─▶ exit-1 ─▶ client ─▶ first page ─▶ exit-2
 *
 * In that order, so that traffic leaves through exit-1 until something happens to it.
 */

import { join } from "@std/path";
import type { PartFacts } from "../../edge/dashboard/inventory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import { putSampleFiles, sampleFolder } from "./files.ts";
import {
  type Addresses,
  FILES_NAMES,
  NODE_NAMES,
  PART_NAMES,
  type PartName,
  PARTS,
  PEER_NAMES,
  settingsOf,
  SHARING_NAMES,
} from "./parts.ts";
import { PeerNames } from "./peer_names.ts";
import { findRoute, type FoundRoute, type Travel } from "./route.ts";
import { RunningParts } from "./running_parts.ts";
import { type DemoLogin, seedSharing, type SharingSeed } from "./sharing.ts";
import { partLines } from "./show.ts";
import { type AskedPart, onceBegun, type RunningNetwork } from "./watched_network.ts";

export interface NetworkOptions {
  /** Where programs are to find the proxy. */
  readonly listen: string;
  readonly egressPolicy: string | undefined;
  /** Whether people share their connections in it as well. */
  readonly withSharing: boolean;
  /** Whether a tracker and peers with files are there as well. */
  readonly withFiles: boolean;
  /** Where the parts keep keys and state, each in a directory of its name. */
  readonly directory: string;
  readonly context: RoleContext;
}

/** How long the first page may take to come. */
const FIRST_PAGE_MS = 20_000;

export class SmallNetwork implements RunningNetwork {
  readonly names: readonly PartName[];
  readonly entrance = "client";
  readonly title = "culvert up";
  readonly #options: NetworkOptions;
  readonly #parts: RunningParts<PartName>;
  readonly #peers: PeerNames<PartName>;
  #seed: SharingSeed | undefined;

  private constructor(options: NetworkOptions) {
    this.#options = options;
    const { withSharing, withFiles } = options;
    this.names = [...PART_NAMES, ...withSharing ? SHARING_NAMES : [], ...withFiles ? FILES_NAMES : []];
    this.#peers = new PeerNames(options.context);
    this.#parts = new RunningParts(this.names.map((name) => ({ name, role: PARTS[name].role })), options.context.log);
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

  /** Where clients of shared connections find the proxy, and who they may be; undefined when nobody shares. */
  get sharing(): { readonly proxy: string; readonly client: DemoLogin; readonly owner: DemoLogin } | undefined {
    return this.#seed && { proxy: this.#parts.addressesOf("orchestrator")!.proxy!, ...this.#seed };
  }

  /** The peers' pages, of those that run; none without files. */
  get pages(): readonly { readonly name: PartName; readonly url: string; readonly folder: string }[] {
    return this.#options.withFiles
      ? PEER_NAMES.map((name) => {
        return { name, url: this.#parts.addressesOf(name)!.files!, folder: sampleFolder(this.stateDirOf(name)) };
      })
      : [];
  }

  /** Where a part can be reached; undefined for one that needs not be reached. */
  addressOf(name: PartName): string | undefined {
    return this.#parts.addressesOf(name)?.listen;
  }

  lines(): string[] {
    return partLines(this.names, {
      addressOf: (name) => this.addressOf(name),
      isRunning: (name) => this.isRunning(name),
      peerIdOf: (name) => this.#peers.peerIdOf(name),
    });
  }

  parts(): PartFacts[] {
    return this.names.map((name) => {
      const { role, region } = PARTS[name];
      return { name, role, region, peerId: this.#peers.peerIdOf(name), isRunning: this.isRunning(name) };
    });
  }

  get asked(): AskedPart[] {
    return this.names.flatMap((name): AskedPart[] => {
      const { role, region } = PARTS[name];
      if (role !== "supernode" && role !== "base") return [];
      return [{ name, role, region, stateDir: this.stateDirOf(name), peerId: this.#peers.peerIdOf(name) }];
    });
  }

  nameOf(peerId: string): PartName | undefined {
    return this.#peers.nameOf(peerId);
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
    if (this.#options.withSharing) await this.#share();
    if (this.#options.withFiles) await this.#shareFiles();
    this.#parts.settled();
  }

  async #share(): Promise<void> {
    this.#seed = await seedSharing(this.stateDirOf("orchestrator"), NODE_NAMES.length, this.#options.context);
    await this.#start("orchestrator");
    await Promise.all(NODE_NAMES.map((name) => this.#start(name)));
  }

  async #shareFiles(): Promise<void> {
    await this.#start("tracker");
    await Promise.all(PEER_NAMES.map(async (name) => {
      await putSampleFiles(this.stateDirOf(name), name);
      await this.#start(name);
    }));
  }

  async #start(name: PartName): Promise<void> {
    const { listen, egressPolicy } = this.#options;
    const addresses: Addresses = Object.fromEntries(this.names.map((each) => [each, this.#parts.addressesOf(each)]));
    const stateDir = this.stateDirOf(name);
    const wishes = { listen, egressPolicy, stateDir, addresses, codes: this.#seed?.codes ?? [] };
    await this.#parts.start(name, settingsOf(name, wishes));
  }

  async #nameParts(): Promise<void> {
    const peers = this.names.filter((name) => name !== "base" && name !== "tracker");
    await Promise.all(peers.map((name) => this.#peers.add(name, this.stateDirOf(name))));
  }
}
