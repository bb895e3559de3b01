/**
 * Where the supernodes are, for a machine whose traffic all goes through a tunnel or nowhere: their addresses have to be
 * known before the kill switch is set, since afterwards no name can be looked up until there is a tunnel, and have to be
 * let through before they are connected to.
 *
 *   known host      its addresses at once; looked up again behind that, when it was long ago
 *   unknown host    looked up, which without a tunnel in a locked machine finds no more than /etc/hosts has
 *
 * What was found is kept in the state directory, so that a start while the machine is locked finds it.
 */

import { z } from "zod";
import type { Lookup } from "../../../net/resolve.ts";
import type { Locate } from "../../../net/websocket_dial.ts";
import { orAborted } from "../../../protocol/abort.ts";
import { type Clock, deadline } from "../../../protocol/clock.ts";
import { DialError, messageOf } from "../../../protocol/errors.ts";
import { ipSchema } from "../../../protocol/fields.ts";
import { equalIp, formatIp, type IpAddress, parseIp } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Target } from "../../../protocol/stream.ts";
import type { StateDirectory } from "../../state.ts";

/** An address that a supernode is connected to. */
export interface SupernodePlace {
  readonly address: IpAddress;
  readonly port: number;
}

export interface UnderlayOptions {
  readonly state: StateDirectory;
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether names can be looked up now. */
  canLookUp(): boolean;
  /** Lets connections to another place go out; what throws keeps it from being used. */
  onPlace(place: SupernodePlace): Promise<void>;
  /** It is not let through any more: there are too many, and this one has been known the longest. */
  onForgotten(place: SupernodePlace): void;
}

const FILE = "supernode-addresses.json";
const LOOKUP_MS = 5_000;
const LOOK_AGAIN_MS = 300_000;
const MAX_HOSTS = 64;
const MAX_ADDRESSES = 16;
const MAX_PLACES = 128;

const fileSchema = z.object({ hosts: z.record(z.string().max(253), z.array(ipSchema).max(MAX_ADDRESSES)) });

interface Known {
  readonly addresses: readonly IpAddress[];
  /** By the clock; never in this run when it is minus infinity. */
  readonly atMs: number;
}

export class Underlay {
  readonly #options: UnderlayOptions;
  readonly #known = new Map<string, Known>();
  readonly #places: SupernodePlace[] = [];
  readonly #lookingUp = new Map<string, Promise<readonly IpAddress[]>>();

  private constructor(options: UnderlayOptions) {
    this.#options = options;
  }

  /** With what an earlier run has found. */
  static async open(options: UnderlayOptions): Promise<Underlay> {
    const underlay = new Underlay(options);
    for (const [host, texts] of await readHosts(options)) {
      const addresses = texts.map(parseIp).filter((address) => address !== undefined);
      underlay.#known.set(host, { addresses, atMs: -Infinity });
    }
    return underlay;
  }

  /** Everything that has been let through. */
  get places(): readonly SupernodePlace[] {
    return this.#places;
  }

  /** Finds out where these are, as far as can be, before anything is locked; rejects when that is known of none. */
  async prepare(targets: readonly Target[], signal: AbortSignal): Promise<void> {
    const found = await Promise.allSettled(targets.map(async (target) => {
      const addresses = await this.#addressesOf(target.host, signal, { isFreshWanted: true });
      for (const address of addresses) await this.#letThrough({ address, port: target.port });
    }));
    signal.throwIfAborted();
    const failed = found.filter((one) => one.status === "rejected").map(({ reason }) => messageOf(reason));
    if (failed.length > 0 && failed.length === targets.length) throw new DialError("unresolved", failed[0]!);
    for (const error of failed) this.#options.log.warn("A supernode's address is not known yet", { error });
  }

  /** For whoever connects to a supernode. */
  readonly locate: Locate = async ({ host, port }, signal) => {
    const addresses = await this.#addressesOf(host, signal);
    for (const address of addresses) await this.#letThrough({ address, port });
    return addresses;
  };

  /** The addresses of a host that is not connected to by TCP, such as a relay. */
  addressesOf(host: string, signal: AbortSignal): Promise<readonly IpAddress[]> {
    return this.#addressesOf(host, signal);
  }

  /** Settles when nothing is looked up any more, nor written down. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#lookingUp.values());
  }

  async #addressesOf(
    host: string,
    signal: AbortSignal,
    { isFreshWanted = false } = {},
  ): Promise<readonly IpAddress[]> {
    const literal = parseIp(host);
    if (literal) return [literal];
    const { clock, canLookUp } = this.#options;
    const known = this.#known.get(host);
    const isOld = !known || clock.now() - known.atMs > LOOK_AGAIN_MS;
    const finding = isOld && (canLookUp() || !known) ? this.#lookUp(host) : undefined;
    finding?.catch(() => {}); // heard here or not at all
    if (!finding || (known && !isFreshWanted)) return known!.addresses;
    try {
      return await orAborted(finding, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (known) return known.addresses;
      if (canLookUp()) throw error;
      throw new DialError(
        "unresolved",
        `Cannot find ${host}: its name must be looked up, and the kill switch lets nothing out before there is a tunnel; ` +
          "`culvert client down` opens the machine again",
        { cause: error },
      );
    }
  }

  #lookUp(host: string): Promise<readonly IpAddress[]> {
    let running = this.#lookingUp.get(host);
    if (!running) {
      running = this.#ask(host).finally(() => this.#lookingUp.delete(host));
      this.#lookingUp.set(host, running);
    }
    return running;
  }

  async #ask(host: string): Promise<readonly IpAddress[]> {
    const { clock, lookup } = this.#options;
    using limit = deadline(clock, LOOKUP_MS, `look up ${host}`);
    const addresses = (await orAborted(lookup(host), limit.signal)).slice(0, MAX_ADDRESSES);
    if (addresses.length === 0) throw new DialError("unresolved", `Cannot find ${host}: it has no address`);
    this.#known.delete(host);
    this.#known.set(host, { addresses, atMs: clock.now() });
    if (this.#known.size > MAX_HOSTS) this.#known.delete(this.#known.keys().next().value!);
    await this.#remember();
    return addresses;
  }

  async #letThrough(place: SupernodePlace): Promise<void> {
    const { onPlace, onForgotten } = this.#options;
    const at = this.#places.findIndex(({ address, port }) => port === place.port && equalIp(address, place.address));
    const [known] = at < 0 ? [] : this.#places.splice(at, 1);
    this.#places.push(known ?? place); // the last used is the last
    if (known) return;
    const oldest = this.#places.length > MAX_PLACES ? this.#places.shift() : undefined;
    if (oldest) onForgotten(oldest);
    try {
      await onPlace(place);
    } catch (error) {
      this.#places.splice(this.#places.indexOf(place), 1); // to be tried again
      throw error;
    }
  }

  async #remember(): Promise<void> {
    const { state, clock, log } = this.#options;
    const hosts = Object.fromEntries(
      [...this.#known].map(([host, { addresses }]) => [host, addresses.map(formatIp)]),
    );
    try {
      using lock = await state.lock({ clock });
      await lock.replace(FILE, new TextEncoder().encode(JSON.stringify({ hosts })));
    } catch (error) {
      log.warn("The supernodes' addresses could not be kept for the next start", { error: messageOf(error) });
    }
  }
}

async function readHosts({ state, log }: UnderlayOptions): Promise<[string, string[]][]> {
  const bytes = await state.read(FILE);
  if (!bytes) return [];
  try {
    return Object.entries(fileSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).hosts).slice(0, MAX_HOSTS);
  } catch (error) {
    log.warn("What was known of the supernodes' addresses cannot be read", { error: messageOf(error) });
    return [];
  }
}
