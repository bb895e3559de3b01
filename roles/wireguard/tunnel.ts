/**
 * One tunnel from its first command to its last: what `up` does once it may.
 */

import type { WireGuardDevice } from "../../native/wireguard/device.ts";
import { serveUapi, type UapiServer } from "../../native/wireguard/uapi_server.ts";
import { uapiPathOf } from "../../native/wireguard/uapi_socket.ts";
import { orAborted } from "../../protocol/abort.ts";
import { messageOf } from "../../protocol/errors.ts";
import { deviceChangeOf } from "../../protocol/wireguard/quick_config.ts";
import type { RoleContext } from "../role.ts";
import type { ConfFile } from "./conf_file.ts";
import type { ChosenBackend, DeviceMaker } from "../machine/devices.ts";
import { type EndpointTools, type Lookup, type NamedPeer, resolveEventually, resolveOnce } from "./endpoints.ts";
import type { Hooks } from "./hooks.ts";
import type { Journal } from "../machine/journal.ts";
import { noteKernelLink } from "../machine/kernel_link.ts";
import { tunnelMtu } from "./mtu.ts";
import { chooseMark, type Network, setNetwork } from "./network.ts";
import { planRoutes } from "./routing.ts";
import { saveConfig } from "./save.ts";
import { undoAll } from "../machine/undo.ts";

export interface TunnelOptions {
  readonly file: ConfFile;
  readonly hooks: Hooks;
  readonly backend: ChosenBackend;
  readonly network: Network;
  readonly journal: Journal;
  readonly context: RoleContext;
  readonly devices: DeviceMaker;
  readonly lookup: Lookup;
}

/** What is there while it is up. */
interface Running {
  readonly device: WireGuardDevice;
  readonly mtu: number;
  /** Absent where the device is not ours to offer. */
  readonly server: UapiServer | undefined;
  /** The peers whose endpoint has no address yet. */
  readonly missing: readonly NamedPeer[];
}

export class Tunnel {
  readonly #options: TunnelOptions;
  /** What the journal need not know, since it goes with this process. */
  readonly #resources = new AsyncDisposableStack();

  constructor(options: TunnelOptions) {
    this.#options = options;
  }

  /** Brings it up, waits for the stop, takes it down. Rejects when it ends for any other reason than being told to. */
  async run(): Promise<void> {
    const { hooks, context: { signal, hardSignal } } = this.#options;
    let running: Running | undefined;
    try {
      const opened = await this.#bringUp();
      await hooks.run("postUp", { signal, hardSignal });
      running = opened;
      await this.#stayUp(running);
    } finally {
      if (running) await this.#leave(running);
      await this.#takeAway();
      if (running) await this.#late("run PostDown", () => hooks.run("postDown", { hardSignal }));
    }
  }

  async #bringUp(): Promise<Running> {
    const { file: { config, interfaceName }, hooks, network, journal, context } = this.#options;
    const { signal, hardSignal, log } = context;
    await hooks.run("preUp", { signal, hardSignal });
    const { found, missing } = await resolveOnce(config.peers, this.#endpointTools(signal));
    const mtu = config.mtu ?? tunnelMtu(found.values(), network);
    const routes = planRoutes(config);
    const mark = routes.defaults.length > 0 ? chooseMark(config, network) : config.fwmark ?? 0;
    const device = await this.#openDevice(mtu);
    const server = await this.#offer(device);
    signal.throwIfAborted();
    await device.configure(deviceChangeOf({ ...config, fwmark: mark }, (peer) => found.get(peer)));
    await setNetwork({ interfaceName, config, mtu, routes, mark }, { network, journal, log });
    signal.throwIfAborted();
    return { device, mtu, server, missing };
  }

  async #openDevice(mtu: number): Promise<WireGuardDevice> {
    const { file: { interfaceName: name }, backend, journal, context, devices } = this.#options;
    if (backend === "kernel") await noteKernelLink(name, journal);
    return this.#resources.use(await devices.open(backend, { name, mtu, log: context.log }));
  }

  /** Offers a device of our own to `wg`, which finds the kernel's by itself. */
  async #offer(device: WireGuardDevice): Promise<UapiServer | undefined> {
    if (device.backend !== "userspace") return undefined;
    const { journal, context } = this.#options;
    await journal.record({ kind: "socket", path: uapiPathOf(device.interfaceName) });
    return this.#resources.use(await serveUapi(device, { log: context.log }));
  }

  async #stayUp({ device, mtu, server, missing }: Running): Promise<void> {
    const { context, backend, file: { interfaceName } } = this.#options;
    const { listenPort } = await device.status();
    using stop = new AbortOnDispose();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    const resolving = missing.map((peer) =>
      resolveEventually(
        peer,
        this.#endpointTools(signal),
        (endpoint) => device.configure({ peers: [{ publicKey: peer.publicKey, updateOnly: true, endpoint }] }),
      )
    );
    context.ready({
      addresses: { listen: `[::]:${listenPort}` },
      note: `interface ${interfaceName}, ${backend} backend, MTU ${mtu}`,
    });
    try {
      const failure = await orAborted(endOf(device, server), context.signal);
      if (failure) throw failure;
      context.log.info("The device's socket was removed: taking everything away");
    } finally {
      stop[Symbol.dispose]();
      await Promise.all(resolving);
    }
  }

  async #leave({ device }: Running): Promise<void> {
    const { file, hooks, context: { hardSignal } } = this.#options;
    await this.#late("run PreDown", () => hooks.run("preDown", { hardSignal }));
    if (file.config.saveConfig) {
      await this.#late("save the configuration", async () => await saveConfig(file, await device.status()));
    }
  }

  /** What the machine's network relies on first, the interface last. */
  async #takeAway(): Promise<void> {
    const { journal, network, context } = this.#options;
    try {
      await undoAll(journal, network, context.log);
    } finally {
      await this.#resources.disposeAsync();
    }
    await journal.finish();
  }

  /** On the way down nothing stops us from going on. */
  async #late(action: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#options.context.log.error(`Cannot ${action}`, { error: messageOf(error) });
    }
  }

  #endpointTools(signal: AbortSignal): EndpointTools {
    const { context, lookup } = this.#options;
    return { lookup, signal, clock: context.clock, random: context.random, log: context.log };
  }
}

/** Settles when the device's socket has been removed, which asks for the end, or with what ended the device unasked. */
function endOf(device: WireGuardDevice, server: UapiServer | undefined): Promise<Error | undefined> {
  return Promise.race([device.ended, ...server ? [server.removed.then(() => undefined)] : []]);
}

/** Ends what belongs to a scope. */
class AbortOnDispose implements Disposable {
  readonly #controller = new AbortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#controller.abort();
  }
}
