/**
 * The relay for clients whose tunnels end here: they speak WireGuard with the supernode, and the supernode, as a client of
 * its own, with their exits.
 *
 *   prepare(exit) ─▶ ExitTunnel, one for each exit ─▶ its UDP port, which the exit is told
 *   apply(grant)  ─▶ the exit answers in its tunnel ─▶ address from the pool ─▶ peer ─▶ into the tunnel ─▶ what the client is told
 *   remove        ─▶ the same backwards; a tunnel goes with its last session, a client with its own
 *
 * A client is known by its key. With several sessions it keeps its addresses, and its packets go by the newest: so an exit
 * is replaced beneath a client without its noticing more than that connections are cut.
 *
 * Whatever fails in the middle is undone before the call rejects. The same session applied again changes nothing and says
 * the same. Nothing outlives the process: what a killed one leaves, the journal tells the next (`machine/journal.ts`).
 */

import type { PacketGrant, PacketOffer } from "../../../protocol/control/packets.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { formatCidr, formatIp, hostCidr, type IpAddress, parseCidr } from "../../../protocol/ip.ts";
import { formatTarget } from "../../../protocol/stream.ts";
import { keyFromBase64 } from "../../../protocol/wireguard/keys.ts";
import type { Endpoint, Key } from "../../../protocol/wireguard/settings.ts";
import type { AddressPool } from "../../exit/packets/address_pool.ts";
import { firewallTableOf } from "../../machine/firewall.ts";
import type { TerminatedSession, TerminatingRelay } from "../packet_relay.ts";
import { ClientPort } from "./client_port.ts";
import { ExitTunnels, type Way } from "./exit_tunnels.ts";
import { noteUndo, type RelayMachine } from "./machine.ts";
import { RelayFirewall } from "./relay_firewall.ts";

/** As WireGuard's own default; what the way to an exit takes less of, its grant says. */
const CLIENT_MTU = 1420;

export interface RelayOptions {
  /** Of the clients' interface; those to exits have a number behind it. */
  readonly interfaceName: string;
  /** The supernode's own. */
  readonly privateKey: Key;
  /** Of each family that clients are to have. */
  readonly pools: readonly AddressPool[];
  /** UDP ports, tried in turn: at which clients find us, and at which exits do. 0: any. */
  readonly clientPorts: readonly number[];
  readonly exitPorts: readonly number[];
  /** How they find us. */
  readonly host: string;
}

interface Client {
  readonly peerId: string;
  readonly key: Key;
  readonly addresses: readonly IpAddress[];
  readonly admitted: Promise<void>;
  /** Where its sessions go, the newest last. */
  readonly ways: Map<string, Way>;
}

interface Session {
  /** By exit: the one it goes by, and those prepared since. */
  readonly ways: Map<string, Way>;
  readonly ended: AbortController;
  client?: Client;
}

export class WireGuardRelay implements TerminatingRelay, AsyncDisposable {
  /** What goes to that exit goes nowhere, until its clients are applied at another, or it works again. */
  onTrouble: TerminatingRelay["onTrouble"] = () => {};
  readonly #options: RelayOptions;
  readonly #machine: RelayMachine;
  readonly #port: ClientPort;
  readonly #firewall: RelayFirewall;
  readonly #held: AsyncDisposableStack;
  readonly #sessions = new Map<string, Session>();
  readonly #tunnels: ExitTunnels;
  /** By their keys. */
  readonly #clients = new Map<string, Client>();
  /** By their addresses. */
  readonly #byAddress = new Map<string, Client>();
  #isClosed = false;

  private constructor(
    options: RelayOptions,
    machine: RelayMachine,
    made: { readonly port: ClientPort; readonly firewall: RelayFirewall; readonly held: AsyncDisposableStack },
  ) {
    this.#options = options;
    this.#machine = machine;
    this.#port = made.port;
    this.#firewall = made.firewall;
    this.#held = made.held;
    const { linkIndex } = made.port;
    this.#tunnels = new ExitTunnels({
      ...options,
      clients: { networks: options.pools.map(({ network }) => network), linkIndex },
      firewall: made.firewall,
      onTrouble: (exitPeerId) => this.onTrouble(exitPeerId),
      onReplaced: (dead, way) => this.#follow(dead, way),
    }, machine);
  }

  /** Rejects, and leaves nothing, when it cannot be made. */
  static async open(options: RelayOptions, machine: RelayMachine): Promise<WireGuardRelay> {
    const { interfaceName, pools } = options;
    await using held = new AsyncDisposableStack();
    const tableName = firewallTableOf(interfaceName);
    const gateways = pools.map(({ gateway }) => gateway);
    await noteUndo(machine, { kind: "firewall", table: tableName });
    // Before the interface is there, so that nothing ever passes without it.
    const firewall = held.use(new RelayFirewall({ tableName, interfaceName, gateways }, machine.filter));
    const port = held.use(await ClientPort.open({ ...options, ports: options.clientPorts, mtu: CLIENT_MTU }, machine));
    const isServed = (address: IpAddress) => relay.#isServed(address);
    held.use(machine.serveGateway(gateways, isServed));
    const relay = new WireGuardRelay(options, machine, { port, firewall, held: held.move() });
    return relay;
  }

  /** Where clients find us. */
  get endpoint(): string {
    return formatTarget({ host: this.#options.host, port: this.#port.port });
  }

  /** Settles with what ended the clients' interface, if that was not us. */
  get ended(): Promise<Error | undefined> {
    return this.#port.ended;
  }

  async prepare({ sessionId, exit, port }: Parameters<TerminatingRelay["prepare"]>[0]): Promise<number> {
    if (this.#isClosed) throw new CulvertError("closed", "Cannot terminate a tunnel: the relay is stopping");
    const session = this.#sessions.get(sessionId) ?? { ways: new Map(), ended: new AbortController() };
    const way = session.ways.get(exit.peerId) ?? this.#tunnels.to(exit, port);
    this.#sessions.set(sessionId, session);
    session.ways.set(exit.peerId, way);
    way.users.add(sessionId);
    try {
      const tunnel = await way.opening;
      session.ended.signal.throwIfAborted();
      return tunnel.port;
    } catch (error) {
      await this.#leave(sessionId, session, way);
      throw error;
    }
  }

  async apply(terminated: TerminatedSession): Promise<Omit<PacketOffer, "terminatedBy">> {
    const { sessionId, exit, grant, exitAt, isResumed } = terminated;
    const session = this.#sessions.get(sessionId);
    const way = session?.ways.get(exit.peerId);
    if (!session || !way) {
      throw new CulvertError("unknown_session", "Cannot terminate the tunnel: its exit must have been prepared");
    }
    const { signal } = session.ended;
    const tunnel = await way.opening;
    await tunnel.use(grant, { exitAt, isResumed, signal });
    signal.throwIfAborted();
    this.#firewall.setTunnel(tunnel.place);
    const client = await this.#enter({ sessionId, session, way }, terminated);
    this.#placeHeirs(way);
    for (const other of session.ways.values()) if (other !== way) await this.#leave(sessionId, session, other);
    return this.#offer(client, grant);
  }

  isHealthy(exitPeerId: string): boolean {
    return this.#tunnels.isHealthy(exitPeerId);
  }

  async exitAt(sessionId: string): Promise<Endpoint | undefined> {
    const ways = this.#sessions.get(sessionId)?.ways.values();
    return await ways?.next().value?.tunnel?.exitAt();
  }

  async remove(sessionId: string): Promise<void> {
    const session = this.#sessions.get(sessionId);
    if (!session) return;
    this.#sessions.delete(sessionId);
    session.ended.abort(new CulvertError("removed", "The session has ended"));
    try {
      if (session.client) await this.#exit(sessionId, session.client);
    } finally {
      for (const way of session.ways.values()) await this.#leave(sessionId, session, way);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await using _held = this.#held;
    for (const sessionId of [...this.#sessions.keys()]) {
      await this.remove(sessionId).catch((error) =>
        this.#machine.log.error("A session could not be taken away whole", { error: messageOf(error) })
      );
    }
    await this.#tunnels.settled();
  }

  /** The session's client, admitted unless it is, whose packets go this way from now on. */
  async #enter(
    { sessionId, session, way }: { readonly sessionId: string; readonly session: Session; readonly way: Way },
    terminated: TerminatedSession,
  ): Promise<Client> {
    session.ended.signal.throwIfAborted();
    const client = this.#clientOf(terminated);
    const before = client.ways.get(sessionId);
    client.ways.set(sessionId, way);
    session.client = client;
    try {
      await client.admitted;
      session.ended.signal.throwIfAborted();
      this.#place(client);
      return client;
    } catch (error) {
      if (before) client.ways.set(sessionId, before);
      else {
        delete session.client;
        await this.#exit(sessionId, client);
      }
      throw error;
    }
  }

  /** The session is none of its client's any more, whose packets go by another of its sessions, or who goes itself. */
  async #exit(sessionId: string, client: Client): Promise<void> {
    client.ways.delete(sessionId);
    if (client.ways.size > 0) return this.#place(client);
    const text = client.key.toBase64();
    if (this.#clients.get(text) !== client) return;
    this.#clients.delete(text);
    try {
      this.#firewall.place(client.addresses, undefined);
    } finally {
      const isThere = await client.admitted.then(() => true, () => false);
      // It may have come again meanwhile.
      if (isThere && !this.#clients.has(text)) await this.#port.turnAway(client.key);
      this.#giveBack(client.addresses, client.key);
    }
  }

  /** The tunnel works: takes in all who went by the one before it. */
  #placeHeirs(way: Way): void {
    if (!way.hasHeirs) return;
    for (const client of this.#clients.values()) if ([...client.ways.values()].at(-1) === way) this.#place(client);
    way.hasHeirs = false;
  }

  #place(client: Client): void {
    this.#firewall.place(client.addresses, [...client.ways.values()].at(-1)?.tunnel?.place.mark);
  }

  /** A peer's word that a key is its own does not say that it is nobody else's, whose packets would go where it wishes. */
  #clientOf({ clientPeerId: peerId, clientKey, addresses = [] }: TerminatedSession): Client {
    const known = this.#clients.get(clientKey);
    if (known && known.peerId !== peerId) {
      throw new CulvertError(
        "key_in_use",
        "Cannot admit the client: its key must be its own, and another client has it",
      );
    }
    if (known) return known;
    const key = keyFromBase64(clientKey);
    if (!key) throw new CulvertError("invalid_key", "Cannot admit the client: its key must be of 32 bytes");
    const taken = this.#take(key, addresses.map((text) => parseCidr(text)?.address));
    const admitted = this.#port.admit(key, taken);
    admitted.catch(() => {}); // whoever has asked for it is told
    const client = { peerId, key, addresses: taken, admitted, ways: new Map<string, Way>() };
    this.#clients.set(clientKey, client);
    for (const address of taken) this.#byAddress.set(formatIp(address), client);
    return client;
  }

  /** One of each pool, or none. */
  #take(key: Key, wishes: readonly (IpAddress | undefined)[]): IpAddress[] {
    const taken: IpAddress[] = [];
    for (const pool of this.#options.pools) {
      const address = pool.take(key, wishes.find((wish) => wish?.length === pool.gateway.length));
      if (!address) {
        this.#giveBack(taken, key);
        throw new CulvertError("busy", "Cannot admit the client: every address of the pool is taken");
      }
      taken.push(address);
    }
    return taken;
  }

  #giveBack(addresses: readonly IpAddress[], key: Key): void {
    addresses.forEach((address, index) => {
      this.#byAddress.delete(formatIp(address));
      this.#options.pools[index]!.release(address, key);
    });
  }

  /** The session needs that tunnel no longer. */
  async #leave(sessionId: string, session: Session, way: Way): Promise<void> {
    session.ways.delete(way.exitPeerId);
    if (session.ways.size === 0) this.#sessions.delete(sessionId);
    await this.#tunnels.leave(way, sessionId);
  }

  /** All who went by a tunnel that is dead go by the other from now on. */
  #follow(dead: Way, way: Way): void {
    for (const sessionId of dead.users) {
      const session = this.#sessions.get(sessionId);
      session?.ways.set(way.exitPeerId, way);
      if (session?.client?.ways.get(sessionId) === dead) session.client.ways.set(sessionId, way);
    }
  }

  /** Names are asked of our gateways, as far as the exit has a server of that family behind them. */
  #offer({ addresses }: Client, { dns, mtu }: PacketGrant): Omit<PacketOffer, "terminatedBy"> {
    const gateways = this.#options.pools.map(({ gateway }) => formatIp(gateway));
    const isV6 = (address: string) => address.includes(":");
    return {
      addresses: addresses.map((address) => formatCidr(hostCidr(address))),
      gateways,
      dns: gateways.filter((gateway) => dns.some((server) => isV6(server) === isV6(gateway))),
      mtu: Math.min(mtu, CLIENT_MTU),
      endpoint: this.endpoint,
    };
  }

  /** Whether what comes from there gets out. */
  #isServed(address: IpAddress): boolean {
    const client = this.#byAddress.get(formatIp(address));
    return client !== undefined && [...client.ways.values()].at(-1)?.tunnel?.isHealthy === true;
  }
}
