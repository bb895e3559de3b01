/**
 * The machines of a story, on one network: each with namespaces of its own, all in the same working folder, and known to each
 * other by name. Their addresses are public ones to Culvert; with a bridge between them they are nobody's.
 */

import { join } from "@std/path";
import { NetLab } from "../../../testing/netns.ts";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { Machine } from "./machine.ts";
import { makeShared } from "./shared.ts";

export interface MachineSpec {
  /** What the others call it. */
  readonly names?: readonly string[];
  /** Addresses beside its own, as documents name them. */
  readonly addresses?: readonly string[];
}

export interface SceneOptions {
  readonly name: string;
  readonly machines: Readonly<Record<string, MachineSpec>>;
  readonly files: Readonly<Record<string, string>>;
  /** Deno's cache for all users. */
  readonly denoCache: string;
}

const NETWORK = "11.7.0.";
/** No machine has neighbours, which an exit would keep others from. */
const PREFIX_BITS = 32;
const FIRST_HOST = 11;

export class Scene implements AsyncDisposable {
  readonly machines: ReadonlyMap<string, Machine>;
  readonly #folder: TempDirectory;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(machines: ReadonlyMap<string, Machine>, folder: TempDirectory, cleanup: AsyncDisposableStack) {
    this.machines = machines;
    this.#folder = folder;
    this.#cleanup = cleanup;
  }

  static async open({ name, machines: specs, files, denoCache }: SceneOptions): Promise<Scene> {
    await using cleanup = new AsyncDisposableStack();
    const folder = cleanup.use(new TempDirectory());
    const lab = cleanup.use(await NetLab.open());
    const bridge = await lab.bridge(`${name}-bridge`);
    const hosts = new Map(
      Object.values(specs).flatMap(({ names = [] }, index) =>
        names.map((host): [string, string] => [host, addressOf(index)])
      ),
    );
    const addresses = Object.values(specs).flatMap((spec) => spec.addresses ?? []);
    await makeShared(folder, { hosts, addresses, files });
    const machines = new Map<string, Machine>();
    for (const [index, [machineName, { addresses = [] }]] of Object.entries(specs).entries()) {
      const namespace = await lab.namespace(`${name}-${machineName}`);
      const all = [`${addressOf(index)}/${PREFIX_BITS}`, ...addresses.map((address) => `${address}/32`)];
      const link = await lab.plug(namespace, bridge, all);
      await namespace.run(["ip", "route", "add", "default", "dev", link, "src", addressOf(index)]);
      machines.set(machineName, cleanup.use(new Machine(machineName, namespace, folder.path(""), denoCache)));
    }
    return new Scene(machines, folder, cleanup.move());
  }

  machine(name: string): Machine {
    const machine = this.machines.get(name);
    if (!machine) throw new Error(`Cannot find the machine ${name}: there are ${[...this.machines.keys()].join(", ")}`);
    return machine;
  }

  /** Where a file of the working folder lies for the test. */
  path(name: string): string {
    return join(this.#folder.path("files"), name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

function addressOf(index: number): string {
  return `${NETWORK}${FIRST_HOST + index}`;
}
