/**
 * Peers that were met, in the state directory, so that they are found again when every tracker is gone: a file for each with its
 * card, from where a tracker has seen it come, and the invitation by which it lets us in.
 *
 *   peer-<peer id>.json    the newest `MAX_PEERS` of them
 */

import { z } from "zod";
import { ipSchema, timeSchema } from "../../protocol/fields.ts";
import { peerCardSchema, refusalOfCard } from "../../protocol/peers/card.ts";
import { invitationSecretSchema } from "../../protocol/peers/knock.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

const NAME = /^peer-[a-z2-7]{26}\.json$/;
const MAX_PEERS = 256;

const knownPeerSchema = z.object({
  card: peerCardSchema,
  observedAddress: ipSchema.optional(),
  invitation: invitationSecretSchema.optional(),
  /** When there was something to remember last. */
  atMs: timeSchema,
});
export type KnownPeer = z.infer<typeof knownPeerSchema>;

type Tools = Pick<RoleContext, "clock" | "signal" | "stateDir"> & { readonly primitives: Primitives };

export class KnownPeers {
  readonly #state: StateDirectory;
  readonly #tools: Tools;

  private constructor(state: StateDirectory, tools: Tools) {
    this.#state = state;
    this.#tools = tools;
  }

  static async open(tools: Tools): Promise<KnownPeers> {
    return new KnownPeers(await StateDirectory.open(tools.stateDir), tools);
  }

  async find(peerId: string): Promise<KnownPeer | undefined> {
    return await this.#read(nameOf(peerId));
  }

  /** All of them, the newest first. */
  async list(): Promise<KnownPeer[]> {
    const peers: KnownPeer[] = [];
    for (const name of await this.#state.names()) {
      const peer = NAME.test(name) ? await this.#read(name) : undefined;
      if (peer) peers.push(peer);
    }
    return peers.sort((a, b) => b.atMs - a.atMs);
  }

  /** What is new of a peer; what is left out stays as it was, and an older card changes nothing. */
  async remember(news: Omit<KnownPeer, "atMs">): Promise<void> {
    using lock = await this.#state.lock(this.#tools);
    const { peerId } = news.card;
    const before = await this.find(peerId);
    const card = before && before.card.issuedAtMs > news.card.issuedAtMs ? before.card : news.card;
    const peer: KnownPeer = { ...before, ...news, card, atMs: this.#tools.clock.wallNow() };
    if (before && isSame(before, peer)) return;
    await lock.replace(nameOf(peerId), new TextEncoder().encode(JSON.stringify(peer) + "\n"));
    if (!before) await this.#forgetOldest();
  }

  async #forgetOldest(): Promise<void> {
    for (const { card } of (await this.list()).slice(MAX_PEERS)) {
      await Deno.remove(this.#state.pathOf(nameOf(card.peerId)));
    }
  }

  /** Undefined also for one that makes no sense: it is only a memory. */
  async #read(name: string): Promise<KnownPeer | undefined> {
    const bytes = await this.#state.read(name);
    if (!bytes) return undefined;
    try {
      const peer = knownPeerSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
      return refusalOfCard(peer.card, this.#tools.primitives) ? undefined : peer;
    } catch {
      return undefined;
    }
  }
}

function nameOf(peerId: string): string {
  return `peer-${peerId}.json`;
}

/** But for the time. */
function isSame(one: KnownPeer, other: KnownPeer): boolean {
  return one.card.signature === other.card.signature && one.invitation === other.invitation &&
    one.observedAddress === other.observedAddress;
}
