/**
 * The hops of an upstream and of a downstream, for `edge/`, which opens no connections itself.
 */

import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { hopSlab } from "../../protocol/fragment/hop_seal.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { MessageChannel } from "../../protocol/message_channel.ts";
import type { Random } from "../../protocol/random.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import type { BufferPool } from "../buffer_pool.ts";
import { type Locate, websocketAddress } from "../websocket_dial.ts";
import type { RelayFinder } from "../relay_directory.ts";
import { type HopHandlers, HopLink, type HopTools } from "./hop_link.ts";
import { relayUrl } from "./legs.ts";

export interface RelayHopsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: WireGuardCrypto;
  readonly pool: BufferPool;
  readonly identity: Identity;
  readonly relays: RelayFinder;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Where the hosts of centrals are. Default: where the system finds them. */
  readonly locate?: Locate | undefined;
}

/** Where centrals and downstreams answer hops, below their URLs. */
const HOP_PATH = "v1/hop";

export class RelayHops {
  readonly #options: RelayHopsOptions;
  readonly #tools: HopTools;

  constructor(options: RelayHopsOptions) {
    this.#options = options;
    const { clock, random, crypto, pool, identity, locate } = options;
    const local = { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey };
    this.#tools = { clock, random, crypto, pool, local, locate, slab: hopSlab() };
  }

  /** To a central. Rejects with a DialError. */
  readonly dial = (
    central: RelayRecord,
    welcome: (link: HopLink) => HopHandlers,
    signal: AbortSignal,
  ): Promise<HopLink> => {
    const sealingKey = decodeBase64(central.sealingKey);
    if (!sealingKey) throw new CulvertError("bad_key", "Cannot open a hop: the central's key must be in base64");
    const address = websocketAddress(relayUrl(central, HOP_PATH));
    const { caCerts } = this.#options;
    return HopLink.dial({ address, acceptorId: central.relayId, sealingKey, caCerts, welcome }, this.#tools, signal);
  };

  /** From a central; undefined, and it was turned away, when the directory knows no such one. */
  readonly accept = (
    channel: MessageChannel,
    welcome: (link: HopLink, central: RelayRecord) => HopHandlers,
    signal: AbortSignal,
  ): Promise<HopLink | undefined> => {
    const { identity, relays } = this.#options;
    return HopLink.accept(
      channel,
      {
        acceptorId: identity.peerId,
        identify: (key) => relays.bySealingKey("central", key),
        refresh: (signal) => relays.refresh(signal),
        welcome,
      },
      this.#tools,
      signal,
    );
  };
}
