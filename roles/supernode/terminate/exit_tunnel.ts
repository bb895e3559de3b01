/**
 * A tunnel in which the supernode itself is the client of an exit, shared by all terminated clients that go there.
 *
 *   open ─▶ a device that waits for the exit at a UDP port ─▶ use(grant) ─▶ addresses, table, rule ─▶ the gateway answers
 *                                                                                 │ again and again ─▶ onTrouble, once
 *                                                                                 └ none in time ─▶ undone, rejects
 *
 * The exit comes to the port by its own initiative, so it may be behind any NAT. The table has the default route by this
 * tunnel and the way back to the clients, and nothing else; which packets it is asked for, the packet filter says.
 */

import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import { delay } from "../../../protocol/clock.ts";
import type { PacketGrant } from "../../../protocol/control/packets.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { type Cidr, type IpAddress, networkOf, parseCidr, parseIp } from "../../../protocol/ip.ts";
import type { Endpoint, Key } from "../../../protocol/wireguard/settings.ts";
import { type GatewayProbe, listen, noteUndo, openDevice, type RelayMachine } from "./machine.ts";

/** Keeps the NATs on the way open, as the exit does from its side. */
const KEEPALIVE_S = 20;
/** How often the gateway is asked, how long it may take, and how long it may take the first time. */
const PROBE_EVERY_MS = 500;
const PROBE_WITHIN_MS = 1_200;
const FIRST_ANSWER_WITHIN_MS = 4_000;
/** An exit that answers that its own way out is shut is given up after so many such answers. */
const SHUT_ANSWERS = 3;
/** How often trouble is told of while it lasts; also how long an exit has that was in use before a restart. */
const TROUBLE_EVERY_MS = 10_000;
/** Before the rules of any other tunnel on this machine. */
const RULE_PRIORITY = 2;
const FAMILIES = [4, 6] as const;

export interface ExitTunnelOptions {
  readonly interfaceName: string;
  /** Which of the relay's tunnels it is. */
  readonly slot: number;
  /** The mark of packets for this tunnel, and the number of its table. */
  readonly mark: number;
  readonly privateKey: Key;
  readonly exitKey: Key;
  /** UDP ports at which the exit may find it, tried in turn. */
  readonly ports: readonly number[];
  /** The clients, and the interface they are reached by. */
  readonly clients: { readonly networks: readonly Cidr[]; readonly linkIndex: number };
  /** Called when the gateway answers no more, and again from time to time until it does. */
  onTrouble(): void;
}

export interface UseOptions {
  /** Where the exit is, if that is known; it comes by itself otherwise. */
  readonly exitAt?: Endpoint | undefined;
  /** It has been in use before this process was there: do not wait until it answers. */
  readonly isResumed?: boolean | undefined;
  readonly signal: AbortSignal;
}

export class ExitTunnel implements AsyncDisposable {
  /** Where the exit finds it. */
  readonly port: number;
  readonly #options: ExitTunnelOptions;
  readonly #machine: RelayMachine;
  readonly #device: WireGuardDevice;
  readonly #linkIndex: number;
  readonly #stop = new AbortController();
  /** What is set around the interface, and by which grant. */
  #wired: { readonly grant: PacketGrant; readonly undo: DisposableStack } | undefined;
  #using: Promise<void> = Promise.resolve();
  #probe: GatewayProbe | undefined;
  #watching: Promise<void> | undefined;
  #isHealthy = false;
  #hasBegun = false;
  #toldAtMs = -Infinity;

  private constructor(
    options: ExitTunnelOptions,
    machine: RelayMachine,
    made: { readonly device: WireGuardDevice; readonly linkIndex: number; readonly port: number },
  ) {
    this.port = made.port;
    this.#options = options;
    this.#machine = machine;
    this.#device = made.device;
    this.#linkIndex = made.linkIndex;
  }

  /** Rejects, and leaves nothing, when it cannot be made. */
  static async open(options: ExitTunnelOptions, machine: RelayMachine): Promise<ExitTunnel> {
    const { interfaceName, privateKey, exitKey, ports, clients } = options;
    await using held = new AsyncDisposableStack();
    const { device, linkIndex } = await openDevice(machine, { name: interfaceName, mtu: SMALLEST_MTU });
    held.use(device);
    // The kernel's device takes its port only then.
    machine.network.changeLink(linkIndex, { up: true });
    const port = await listen(device, { privateKey, ports });
    const everything = FAMILIES.map((family) => ({ cidr: everywhere(family) }));
    await device.configure({
      peers: [{ publicKey: exitKey, persistentKeepaliveS: KEEPALIVE_S, allowedIps: everything }],
    });
    await machine.forwardFrom(interfaceName, clients.networks.map(({ address }) => address.length === 4 ? 4 : 6));
    held.move();
    return new ExitTunnel(options, machine, { device, linkIndex, port });
  }

  get slot(): number {
    return this.#options.slot;
  }

  /** What the packet filter is to know of it. */
  get place(): { readonly interfaceName: string; readonly mark: number; readonly dns: readonly IpAddress[] } {
    const { interfaceName, mark } = this.#options;
    return { interfaceName, mark, dns: (this.#wired?.grant.dns ?? []).map((server) => parseIp(server)!) };
  }

  /** Whether packets get there and back, and out of the exit, as far as is known. */
  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** It was to be used, and nothing gets through. */
  get hasFailed(): boolean {
    return this.#hasBegun && !this.#isHealthy;
  }

  /**
   * Has what the exit has granted set up, and waits until its gateway answers; at once where it does already. Rejects with
   * `exit_silent` when it does not in time, and then is as it was before.
   */
  use(grant: PacketGrant, options: UseOptions): Promise<void> {
    const turn = this.#using.then(() => this.#use(grant, options));
    this.#using = turn.catch(() => {});
    return turn;
  }

  /** Where the exit has last been heard. */
  async exitAt(): Promise<Endpoint | undefined> {
    const { peers: [exit] } = await this.#device.status();
    return exit?.endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new CulvertError("closed", `The tunnel ${this.#options.interfaceName} was closed`));
    await this.#using;
    await this.#watching;
    try {
      this.#probe?.[Symbol.dispose]();
      this.#wired?.undo.dispose();
    } finally {
      await this.#device.close();
    }
  }

  async #use(grant: PacketGrant, { exitAt, isResumed = false, signal: wanted }: UseOptions): Promise<void> {
    const signal = AbortSignal.any([wanted, this.#stop.signal]);
    signal.throwIfAborted();
    if (exitAt) {
      await this.#device.configure({
        peers: [{ publicKey: this.#options.exitKey, updateOnly: true, endpoint: exitAt }],
      });
    }
    const before = this.#wired?.grant;
    if ((this.#isHealthy || isResumed) && isSame(grant, before)) return;
    this.#wired?.undo.dispose();
    this.#wired = undefined;
    this.#isHealthy = false;
    this.#hasBegun = false; // as long as it is tried, others may wait for it
    try {
      await this.#begin(grant, { isResumed, signal });
    } catch (error) {
      if (before && !this.#stop.signal.aborted) await this.#goBackTo(before);
      throw error;
    } finally {
      this.#hasBegun = true;
    }
  }

  async #begin(grant: PacketGrant, { isResumed, signal }: Pick<UseOptions, "isResumed" | "signal">): Promise<void> {
    using undo = new DisposableStack();
    await this.#wire(grant, undo);
    this.#probe ??= this.#machine.probe(this.#options.interfaceName);
    if (!isResumed) await this.#firstAnswer(this.#probe, grant, signal);
    this.#wired = { grant, undo: undo.move() };
    this.#isHealthy = !isResumed;
    this.#toldAtMs = isResumed ? this.#machine.clock.now() : -Infinity;
    this.#watching ??= this.#watch(this.#probe);
  }

  /** Others go by it, who are told of trouble if it does not work like that any more either. Never rejects. */
  async #goBackTo(grant: PacketGrant): Promise<void> {
    try {
      using undo = new DisposableStack();
      await this.#wire(grant, undo);
      this.#wired = { grant, undo: undo.move() };
    } catch (error) {
      const { interfaceName } = this.#options;
      this.#machine.log.error("A tunnel could not be put back", { interface: interfaceName, error: messageOf(error) });
    }
  }

  async #wire({ addresses, mtu }: PacketGrant, undo: DisposableStack): Promise<void> {
    const { network } = this.#machine;
    const { clients: { networks, linkIndex: clientsLink } } = this.#options;
    const [linkIndex, table] = [this.#linkIndex, this.#options.mark];
    for (const cidr of addresses.map(parseCidr)) {
      if (!cidr) throw new CulvertError("bad_grant", "Cannot use what the exit has granted: it must have addresses");
      network.addAddress({ linkIndex, ...cidr });
      undo.defer(() => network.removeAddress({ linkIndex, ...cidr }));
    }
    network.changeLink(linkIndex, { mtu });
    for (const back of networks) {
      const family: 4 | 6 = back.address.length === 4 ? 4 : 6;
      const hasFamily = addresses.some((address) => address.includes(":") === (family === 6));
      for (
        const route of [
          { destination: back, linkIndex: clientsLink, table },
          ...hasFamily ? [{ destination: everywhere(family), linkIndex, table }] : [],
        ]
      ) {
        network.addRoute(route);
        undo.defer(() => network.removeRoute(route));
      }
      const rule = { family, priority: RULE_PRIORITY, table, fwmark: table };
      await noteUndo(this.#machine, { kind: "rule", rule });
      network.addRule(rule);
      undo.defer(() => network.removeRule(rule));
    }
  }

  async #firstAnswer(probe: GatewayProbe, grant: PacketGrant, signal: AbortSignal): Promise<void> {
    try {
      await probe.ask(gatewayOf(grant), FIRST_ANSWER_WITHIN_MS, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new CulvertError("exit_silent", `The exit does not answer in its tunnel: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Asks until the end. Never rejects. */
  async #watch(probe: GatewayProbe): Promise<void> {
    const { clock } = this.#machine;
    const { signal } = this.#stop;
    let shutAnswers = 0;
    while (!signal.aborted) {
      try {
        await delay(clock, PROBE_EVERY_MS, signal);
        if (!this.#wired) continue;
        const isOpen = await probe.ask(gatewayOf(this.#wired.grant), PROBE_WITHIN_MS, signal);
        shutAnswers = isOpen ? 0 : shutAnswers + 1;
        this.#setHealthy(shutAnswers < SHUT_ANSWERS);
      } catch {
        if (!signal.aborted) this.#setHealthy(false);
      }
    }
  }

  #setHealthy(isHealthy: boolean): void {
    const { clock, log } = this.#machine;
    const hasChanged = isHealthy !== this.#isHealthy;
    this.#isHealthy = isHealthy;
    if (hasChanged) {
      const { interfaceName } = this.#options;
      if (isHealthy) log.info("The tunnel to an exit works again", { interface: interfaceName });
      else log.warn("The tunnel to an exit does not work", { interface: interfaceName });
    }
    if (isHealthy || (!hasChanged && clock.now() < this.#toldAtMs + TROUBLE_EVERY_MS)) return;
    this.#toldAtMs = clock.now();
    this.#options.onTrouble();
  }
}

/** What IPv6 asks for at least; the grant says better. */
const SMALLEST_MTU = 1280;

function isSame(one: PacketGrant, other: PacketGrant | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** IPv4, where there is one: probes leave without a route by the interface they are bound to, which only it allows. */
function gatewayOf({ gateways }: PacketGrant): IpAddress {
  const addresses = gateways.map(parseIp).filter((address) => address !== undefined);
  const gateway = addresses.find(({ length }) => length === 4) ?? addresses[0];
  if (!gateway) throw new CulvertError("bad_grant", "Cannot use what the exit has granted: it must have a gateway");
  return gateway;
}

function everywhere(family: 4 | 6): Cidr {
  return networkOf(new Uint8Array(family === 4 ? 4 : 16), 0)!;
}
