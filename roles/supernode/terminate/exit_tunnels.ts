/**
 * The tunnels to exits, one for each exit in use, and who uses them: each goes with its last user.
 *
 * One that carries nothing is made anew, at another port, when it is asked for again: an exit begins with a new handshake
 * where it is told of another place, and does not know that this end has forgotten its keys. Whoever uses the old one uses
 * the new one then.
 */

import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import type { PeerKeys } from "../../../protocol/fields.ts";
import type { Cidr } from "../../../protocol/ip.ts";
import { randomInt } from "../../../protocol/random.ts";
import { keyFromBase64 } from "../../../protocol/wireguard/keys.ts";
import type { Key } from "../../../protocol/wireguard/settings.ts";
import { ExitTunnel } from "./exit_tunnel.ts";
import type { RelayMachine } from "./machine.ts";
import type { RelayFirewall } from "./relay_firewall.ts";

/** Where tables for tunnels begin; the mark of a tunnel is the number of its table. */
const FIRST_TABLE = 52_800;
const FAMILIES = [4, 6] as const;

/** An exit in use. */
export interface Way {
  readonly exitPeerId: string;
  readonly opening: Promise<ExitTunnel>;
  /** Once it is open, until it is made anew. */
  tunnel?: ExitTunnel | undefined;
  /** Sessions that need it. */
  readonly users: Set<string>;
  /** It has been made in place of one whose clients' packets do not go by it yet. */
  hasHeirs?: boolean;
}

export interface ExitTunnelsOptions {
  /** Their names begin with it. */
  readonly interfaceName: string;
  readonly privateKey: Key;
  /** UDP ports at which exits may find them. */
  readonly exitPorts: readonly number[];
  readonly clients: { readonly networks: readonly Cidr[]; readonly linkIndex: number };
  readonly firewall: RelayFirewall;
  onTrouble(exitPeerId: string): void;
  /** The second stands in for the first, for all its users. */
  onReplaced(dead: Way, way: Way): void;
}

export class ExitTunnels {
  readonly #options: ExitTunnelsOptions;
  readonly #machine: RelayMachine;
  /** By exit. */
  readonly #ways = new Map<string, Way>();
  /** The numbers of tunnels that are there or on their way. */
  readonly #slots = new Set<number>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: ExitTunnelsOptions, machine: RelayMachine) {
    this.#options = options;
    this.#machine = machine;
  }

  isHealthy(exitPeerId: string): boolean {
    return this.#ways.get(exitPeerId)?.tunnel?.isHealthy === true;
  }

  /** The way is not needed by that session any more: it ends with its last. */
  async leave(way: Way, sessionId: string): Promise<void> {
    way.users.delete(sessionId);
    if (way.users.size > 0 || this.#ways.get(way.exitPeerId) !== way) return;
    this.#ways.delete(way.exitPeerId);
    await this.#closeTunnel(way);
  }

  /** Settles when none is being closed. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#closing);
  }

  /** The tunnel to that exit, which is opened unless it is there, and works or is the one at that port. */
  to(exit: PeerKeys, port: number | undefined): Way {
    const known = this.#ways.get(exit.peerId);
    const isDead = known?.tunnel?.hasFailed === true && known.tunnel.port !== port;
    if (known && !isDead) return known;
    const way: Way = { exitPeerId: exit.peerId, opening: this.#openTunnel(exit, port), users: new Set() };
    this.#ways.set(exit.peerId, way);
    way.opening.then((tunnel) => way.tunnel = tunnel, () => {
      // Whoever has asked for it is told; the next who asks gets another.
      if (this.#ways.get(exit.peerId) === way) this.#ways.delete(exit.peerId);
    });
    if (known) this.#replace(known, way);
    return way;
  }

  /** All who use a tunnel that is dead use the other from now on. */
  #replace(dead: Way, way: Way): void {
    for (const sessionId of dead.users) way.users.add(sessionId);
    this.#options.onReplaced(dead, way);
    dead.users.clear();
    way.hasHeirs = true;
    this.#closeTunnel(dead).catch((error) =>
      this.#machine.log.error("A tunnel could not be taken away whole", { error: messageOf(error) })
    );
  }

  async #openTunnel(exit: PeerKeys, port: number | undefined): Promise<ExitTunnel> {
    const { interfaceName, privateKey, clients, onTrouble } = this.#options;
    const exitKey = keyFromBase64(exit.wireguardKey);
    if (!exitKey) throw new CulvertError("invalid_key", "Cannot open a tunnel: the exit's key must be of 32 bytes");
    const slot = this.#takeSlot();
    try {
      return await ExitTunnel.open({
        interfaceName: `${interfaceName}-${slot}`,
        slot,
        mark: FIRST_TABLE + slot,
        privateKey,
        exitKey,
        ports: [...port === undefined ? [] : [port], ...this.#exitPorts()],
        clients,
        onTrouble: () => onTrouble(exit.peerId),
      }, this.#machine);
    } catch (error) {
      this.#slots.delete(slot);
      throw error;
    }
  }

  /** From anywhere on: where a process before this one had its tunnel, an exit would not begin anew. */
  #exitPorts(): number[] {
    const { exitPorts } = this.#options;
    const first = randomInt(this.#machine.random, exitPorts.length);
    return [...exitPorts.slice(first), ...exitPorts.slice(0, first)];
  }

  /** The first number that no tunnel has, and whose table nobody uses. */
  #takeSlot(): number {
    const { network } = this.#machine;
    for (let slot = 0;; slot++) {
      const table = FIRST_TABLE + slot;
      const isFree = () => FAMILIES.every((family) => network.routes({ family, table }).length === 0);
      if (this.#slots.has(slot) || !isFree()) continue;
      this.#slots.add(slot);
      return slot;
    }
  }

  async #closeTunnel(way: Way): Promise<void> {
    const tunnel = await way.opening.catch(() => undefined);
    way.tunnel = undefined;
    if (!tunnel) return;
    const closing = this.#end(tunnel);
    this.#closing.add(closing);
    await closing.finally(() => this.#closing.delete(closing));
  }

  async #end(tunnel: ExitTunnel): Promise<void> {
    try {
      this.#options.firewall.removeTunnel(tunnel.place.mark);
    } finally {
      await tunnel[Symbol.asyncDispose]();
      this.#slots.delete(tunnel.slot);
    }
  }
}
