/**
 * A client that routes the machine: everything that its tunnels share, from the first change of the machine to the last.
 *
 *   rights ─▶ journal ─▶ where the supernodes are ─▶ kill switch ─▶ what a killed run left is undone ─▶ rules
 *   a session is taken ─▶ its interface is used for everything, name servers, guard ─▶ the old one drains and goes
 *   stop ─▶ rules, routes, DNS back ─▶ kill switch last
 *
 * The kill switch comes before anything else is touched and goes after everything else is back, so that at no time a
 * packet finds a way around. When the run ends without having been asked to, it stays.
 */

import { type Libc, openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { RtNetlink } from "../../../native/rtnetlink.ts";
import type { Lookup } from "../../../net/resolve.ts";
import type { ClientSession } from "../../../net/session_path.ts";
import type { OpenSession } from "../../../net/watched_session.ts";
import type { Locate } from "../../../net/websocket_dial.ts";
import { delay } from "../../../protocol/clock.ts";
import type { PacketOffer } from "../../../protocol/control/packets.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { type Cidr, formatCidr, hostCidr, type IpAddress, parseIp } from "../../../protocol/ip.ts";
import { MAIN_TABLE } from "../../../protocol/rtnetlink/route.ts";
import type { Target } from "../../../protocol/stream.ts";
import type { Key } from "../../../protocol/wireguard/settings.ts";
import { type Backend, chooseBackend, type ChosenBackend, type DeviceMaker } from "../../machine/devices.ts";
import { firewallTableOf, hasNoNftables, LOCK_TABLE, removeFirewall, setFirewall } from "../../machine/firewall.ts";
import type { Journal } from "../../machine/journal.ts";
import { noteKernelLink } from "../../machine/kernel_link.ts";
import type { MtuView } from "../../wireguard/mtu.ts";
import { ownRights, requireTun } from "../../machine/privileges.ts";
import { undoAll } from "../../machine/undo.ts";
import type { RoleContext } from "../../role.ts";
import { StateDirectory } from "../../state.ts";
import { requireTunnelRights } from "../tunnel_rights.ts";
import { guardTable } from "./guard.ts";
import { takeJournal, takeLeft } from "./journals.ts";
import { lockTable } from "./lock.ts";
import { NameServers } from "./name_servers.ts";
import { PacketWay, type StartDirect } from "./packet_way.ts";
import { Routing } from "./routing.ts";
import { Slots } from "./slots.ts";
import { Underlay } from "./underlay.ts";

export interface PacketSettings {
  readonly backend: Backend;
  /** What the two interfaces' names begin with. */
  readonly interfacePrefix: string;
  readonly include: readonly Cidr[];
  readonly exclude: readonly Cidr[];
  /** What may go out beside the tunnel. */
  readonly allow: readonly Cidr[];
  readonly allowLan: boolean;
  readonly killSwitch: boolean;
  readonly keepLock: boolean;
  readonly dns: boolean;
}

export interface PacketModeOptions {
  readonly settings: PacketSettings;
  readonly supernodes: readonly Target[];
  readonly privateKey: Key;
  readonly context: RoleContext;
  readonly devices: DeviceMaker;
  readonly lookup: Lookup;
  readonly startDirect?: StartDirect | undefined;
}

/** How often to see whether the kill switch is still there. */
const LOCK_LOOK_MS = 1_000;

export class PacketMode implements AsyncDisposable {
  readonly #options: PacketModeOptions;
  readonly #libc: Libc;
  readonly #network: RtNetlink;
  readonly #journal: Journal;
  /** Of clients with other interfaces that were killed. */
  readonly #left: readonly Journal[];
  readonly #backend: ChosenBackend;
  readonly #interfaces: readonly [string, string];
  readonly #slots = new Slots();
  readonly #resources: DisposableStack;
  /** Somebody had locked the machine before. */
  readonly #wasLocked: boolean;
  #underlay: Underlay | undefined;
  #routing: Routing | undefined;
  #nameServers: NameServers | undefined;
  #present: PacketWay | undefined;
  /** That are not gone yet. */
  readonly #ways = new Set<PacketWay>();
  #hasBeenUp = false;
  #isOver = false;

  private constructor(
    options: PacketModeOptions,
    backend: ChosenBackend,
    { journal, left }: { readonly journal: Journal; readonly left: readonly Journal[] },
    held: DisposableStack,
  ) {
    this.#options = options;
    this.#backend = backend;
    this.#journal = journal;
    this.#left = left;
    this.#libc = held.use(openLibc());
    this.#network = held.use(new RtNetlink(this.#libc));
    this.#resources = held;
    const prefix = options.settings.interfacePrefix;
    this.#interfaces = [`${prefix}0`, `${prefix}1`];
    this.#wasLocked = isLocked(this.#libc);
  }

  /** Makes the machine ready for tunnels; takes back what it has done when it cannot. */
  static async open(options: PacketModeOptions): Promise<PacketMode> {
    const { settings, devices, context } = options;
    const backend = await chooseWithRights(settings, devices, context);
    using held = new DisposableStack();
    const left = (await takeLeft(settings.interfacePrefix)).map((one) => held.use(one));
    const journal = held.use(await takeJournal(settings.interfacePrefix));
    const mode = new PacketMode(options, backend, { journal, left }, held);
    const kept = held.move();
    try {
      await mode.#prepare();
      return mode;
    } catch (error) {
      using _kept = kept;
      await mode.#takeBack();
      throw error;
    }
  }

  /** For connections to supernodes: where they are, let through. */
  get locate(): Locate {
    return this.#underlay!.locate;
  }

  get present(): PacketWay | undefined {
    return this.#present;
  }

  get isLocked(): boolean {
    return isLocked(this.#libc);
  }

  openWay(session: ClientSession): PacketWay {
    const { packets } = session;
    if (!packets) throw new CulvertError("failed", "Cannot open the tunnel: the session carries no packets");
    if (this.#isOver) throw new CulvertError("stopped", "Cannot open the tunnel: the client ends");
    const { context: { clock, random, log } } = this.#options;
    const way = new PacketWay({ ...session, packets: packets satisfies PacketOffer }, {
      ...this.#options,
      libc: this.#libc,
      backend: this.#backend,
      interfaces: this.#interfaces,
      slots: this.#slots,
      routing: this.#routing!,
      underlay: this.#underlayView,
      inUse: () => this.#present,
      addressesOf: (host, signal) => this.#underlay!.addressesOf(host, signal),
      takenAddresses: () => this.#takenAddresses(),
      clock,
      random,
      log,
    }, this.#present?.tunnel);
    this.#ways.add(way);
    way.closed().then(() => this.#ways.delete(way));
    return way;
  }

  /** The network as datagrams of ours meet it, which do not go through a tunnel. */
  get #underlayView(): MtuView {
    const network = this.#network, fwmark = this.#routing!.mark;
    return {
      routeTo: (address) => network.routeTo(address, { fwmark }),
      link: (which) => network.link(which),
      routes: (filter) => network.routes(filter),
    };
  }

  /** Of this machine, of its routers and of its supernodes. */
  #takenAddresses(): IpAddress[] {
    const own = Deno.networkInterfaces().filter(({ name }) => !this.#interfaces.includes(name));
    const routes = ([4, 6] as const).flatMap((family) => this.#network.routes({ family, table: MAIN_TABLE }));
    const found = [...own.map(({ address }) => parseIp(address)), ...routes.map(({ gateway }) => gateway)];
    return [
      ...found.filter((address) => address !== undefined),
      ...this.#underlay!.places.map(({ address }) => address),
    ];
  }

  /** The addresses that the next session should keep. */
  get addresses(): string[] {
    return this.#present?.addresses.map((address) => formatCidr(hostCidr(address))) ?? [];
  }

  /** Sends everything through a session that has proved itself. */
  take({ path }: Pick<OpenSession, "path">): void {
    if (!(path instanceof PacketWay) || path.slot === undefined) return;
    const { context: { log } } = this.#options;
    const before = this.#present;
    this.#present = path;
    this.#hasBeenUp = true;
    this.#slots.use(path.tunnel);
    try {
      this.#setGuard(path);
      this.#routing!.use(path.slot);
    } catch (error) {
      log.error("The machine's traffic could not be sent through the tunnel", { error: messageOf(error) });
    }
    this.#nameServers?.set(path.nameServers);
    path.taken();
    before?.left(path);
  }

  /** Puts the kill switch back where somebody else has flushed it, as restarts of firewalls do; until the signal aborts. */
  async keepLocked(signal: AbortSignal): Promise<void> {
    const { settings: { killSwitch }, context: { clock, log } } = this.#options;
    while (killSwitch && !signal.aborted) {
      await delay(clock, LOCK_LOOK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        if (this.isLocked) continue;
        log.warn("The kill switch was taken away by somebody else, and is put back");
        this.#lock();
        if (this.#present) this.#setGuard(this.#present);
      } catch (error) {
        log.error("The kill switch could not be put back", { error: messageOf(error) });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    using _resources = this.#resources;
    // One that was still being opened may not be known to anybody else.
    for (const way of this.#ways) way.close();
    await Promise.all([...this.#ways].map((way) => way.closed()));
    await this.#takeBack();
  }

  async #prepare(): Promise<void> {
    const { settings, context, supernodes, lookup } = this.#options;
    const { clock, log, signal, stateDir } = context;
    this.#underlay = await Underlay.open({
      state: await StateDirectory.open(stateDir),
      lookup,
      clock,
      log,
      canLookUp: () => this.#present !== undefined || !(settings.killSwitch ? this.isLocked : this.#wasLocked),
      onPlace: async (place) => {
        await this.#routing?.letThrough(place);
        if (this.#routing && settings.killSwitch) this.#lock();
      },
      onForgotten: (place) => this.#routing?.keepIn(place),
    });
    await this.#underlay.prepare(supernodes, signal);
    if (settings.killSwitch) this.#lock();
    for (const journal of [this.#journal, ...this.#left]) {
      if (journal.undos.length === 0) continue;
      log.warn("Taking away what a run that was killed has left", { journal: journal.path });
      await undoAll(journal, this.#network, log);
      if (journal !== this.#journal) await journal.finish();
    }
    this.#requireFree();
    await this.#openRouting();
    if (settings.killSwitch) this.#lock();
    else if (this.#wasLocked) removeFirewall(LOCK_TABLE);
  }

  async #openRouting(): Promise<void> {
    const { settings, context: { log } } = this.#options;
    if (this.#backend === "kernel") {
      for (const name of this.#interfaces) await noteKernelLink(name, this.#journal);
    }
    await this.#journal.record({ kind: "firewall", table: this.#guardTable });
    this.#routing = await Routing.open({
      network: this.#network,
      journal: this.#journal,
      interfaces: this.#interfaces,
      split: settings,
      asksExit: settings.dns,
      failsClosed: settings.killSwitch,
      log,
    });
    for (const place of this.#underlay!.places) await this.#routing.letThrough(place);
    if (settings.dns) {
      this.#nameServers = await NameServers.open(this.#interfaces[0], { journal: this.#journal, log });
    }
  }

  get #guardTable(): string {
    return firewallTableOf(this.#options.settings.interfacePrefix);
  }

  /** In place of the one there may be, between two packets. */
  #lock(): void {
    const { settings: { allow, allowLan, exclude, include, dns } } = this.#options;
    try {
      setFirewall(lockTable({
        interfaces: this.#interfaces,
        mark: this.#routing?.mark,
        supernodes: this.#underlay!.places,
        open: [...exclude, ...allow],
        opensLan: allowLan,
        include,
        keepsDns: dns,
      }));
    } catch (error) {
      if (!hasNoNftables(error)) throw error;
      throw new CulvertError(
        "no_nftables",
        "Cannot set the kill switch: the kernel must have nf_tables, and has none; --no-kill-switch goes without",
        { cause: error },
      );
    }
  }

  #setGuard(way: PacketWay): void {
    const { settings: { dns, exclude }, context: { log } } = this.#options;
    const reachable = (server: IpAddress) => way.addresses.some((own) => own.length === server.length);
    try {
      setFirewall(guardTable({
        table: this.#guardTable,
        interfaces: this.#interfaces,
        mark: this.#routing!.mark,
        addresses: way.addresses,
        dns: dns
          ? { servers: way.nameServers.filter(reachable), exclude, takesAll: this.#nameServers === undefined }
          : undefined,
      }));
    } catch (error) {
      log.warn("The firewall table of the tunnel could not be set: names may be looked up around the tunnel", {
        error: messageOf(error),
      });
    }
  }

  #requireFree(): void {
    for (const name of this.#interfaces) {
      if (!this.#network.link(name)) continue;
      throw new CulvertError(
        "exists",
        `Cannot bring up the tunnel: there must be no interface ${name} yet, and there is one that is not culvert's; ` +
          "--interface gives another name",
      );
    }
  }

  /** The machine's network first, the kill switch last, unless the run ends by a fault of its own. */
  async #takeBack(): Promise<void> {
    const { settings, context: { log, signal } } = this.#options;
    this.#present = undefined;
    await this.#nameServers?.settled();
    await this.#underlay?.settled();
    await undoAll(this.#journal, this.#network, log);
    const isAsked = signal.aborted;
    const stays = settings.killSwitch && (isAsked ? settings.keepLock : this.#hasBeenUp || this.#wasLocked);
    if (stays) log.warn("The kill switch stays: nothing leaves this machine until `culvert client up` or `down`");
    else if (settings.killSwitch) removeFirewall(LOCK_TABLE);
    await this.#journal.finish();
  }
}

/** Whether the kill switch of some run is there. */
export function isLocked(libc: Libc): boolean {
  try {
    using nft = new Nft(libc);
    return nft.tables(LOCK_TABLE).some(({ name }) => name === LOCK_TABLE);
  } catch (error) {
    if (hasNoNftables(error)) return false;
    throw error;
  }
}

async function chooseWithRights(
  { backend: wanted, interfacePrefix }: PacketSettings,
  devices: DeviceMaker,
  { log }: Pick<RoleContext, "log">,
): Promise<ChosenBackend> {
  const rights = await ownRights();
  requireTunnelRights(rights);
  const backend = chooseBackend(wanted, devices, log);
  requireTun(rights, backend, `${interfacePrefix}0`);
  return backend;
}
