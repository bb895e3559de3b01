/**
 * A client of a network as one Path: it connects to a supernode, asks for exits, believes nobody's word for whose key an
 * exit's is, and dials through one after the other as they fail.
 *
 *   dial ──→ the session in use (`session_switch.ts`) ──→ sealed stream ──→ supernode ──→ exit
 *
 * What it does not do beside `culvert client`: answer a supernode's commands (an exit that is drained is left when it goes),
 * look for another supernode while one has no exits, and find out by itself where supernodes are.
 */

import { type Clock, deadline } from "../protocol/clock.ts";
import type { SessionOffer } from "../protocol/control/commands.ts";
import type { ExitWish } from "../protocol/control/messages.ts";
import { refusalOfPeerKeys } from "../protocol/control/peer_keys.ts";
import { decodeBase64 } from "../protocol/encoding.ts";
import { CulvertError, DialError } from "../protocol/errors.ts";
import { generateSecrets, Identity, isPeerId } from "../protocol/identity.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type Metrics, noMetrics } from "../protocol/metrics.ts";
import type { Random } from "../protocol/random.ts";
import type { Path } from "../protocol/stream.ts";
import { hostPrimitives } from "./host_primitives.ts";
import { PeerConnection } from "./peer_connection.ts";
import { openSealCrypto } from "./seal_crypto.ts";
import { openSessionPath } from "./session_path.ts";
import { SessionSwitch } from "./session_switch.ts";
import { SlabPool } from "./slab_pool.ts";
import type { OpenSession } from "./watched_session.ts";

/** What it takes to be a client of a network. */
export interface NetworkOptions {
  /** Supernodes as `http(s)://PEERID@host:port`, the preferred first; at least one. */
  readonly supernodes: readonly string[];
  /** Where exits have to be. Default: anywhere. */
  readonly region?: string;
  /** Who we are. Default: somebody new, which an open network lets in. */
  readonly identity?: Identity;
  /** Our certificate as it is now, in a closed network. */
  readonly certificate?: () => string;
  /** The key of a closed network, against which exits are checked. */
  readonly networkPublicKey?: Uint8Array;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[];
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where chance comes from. */
  readonly random: Random;
  /** Where it writes what happens. Default: nowhere. */
  readonly log?: Log;
  /** Where it counts. Default: nowhere. */
  readonly metrics?: Metrics;
}

/** The way through a network. */
export interface NetworkPath extends Path, AsyncDisposable {
  /** The exit that new streams leave by, once there is one. */
  readonly exitPeerId: string | undefined;
  /** Settles when nothing of it is left, after `close`. */
  closed(): Promise<void>;
}

/**
 * Opens the way through a network; it connects in the background, and the first dial waits for an exit, for 15 s at most.
 * Rejects with `bad_url` or `bad_option` when the options cannot be right.
 */
export async function openNetwork(options: NetworkOptions): Promise<NetworkPath> {
  const supernodes = options.supernodes.map(supernodeOf);
  if (supernodes.length === 0) throw badOption("supernodes must name at least one, got none");
  checkClosedNetwork(options);
  return new NetworkClient(options, supernodes, await openSealCrypto());
}

interface Supernode {
  readonly url: string;
  readonly supernodeId: string;
}

function supernodeOf(text: string): Supernode {
  const url = URL.parse(text);
  const isRight = url && /^https?:$/.test(url.protocol) && isPeerId(url.username) && url.password === "" &&
    url.pathname === "/" && url.search === "" && url.hash === "";
  if (isRight) return { url: url.origin, supernodeId: url.username };
  throw new CulvertError(
    "bad_url",
    "Cannot use a network: a supernode must be http(s)://PEERID@host:port, its peer id 26 characters, and nothing after it",
  );
}

/** A closed network lets nobody in who is new, or has no certificate. */
function checkClosedNetwork({ networkPublicKey: key, identity, certificate }: NetworkOptions): void {
  if (key === undefined) return;
  if (key.length !== NETWORK_KEY_BYTES) {
    throw badOption(`networkPublicKey must be ${NETWORK_KEY_BYTES} bytes, got ${key.length}`);
  }
  if (identity && certificate) return;
  throw badOption(
    "networkPublicKey must come with identity and certificate, got no " + (identity ? "certificate" : "identity"),
  );
}

function badOption(rule: string): CulvertError {
  return new CulvertError("bad_option", `Cannot use a network: ${rule}`);
}

/** Of Ed25519. */
const NETWORK_KEY_BYTES = 32;
/** How long is waited for a supernode, and for its offer of an exit. */
const OFFER_MS = 15_000;
/** A region that nobody has told. */
const UNKNOWN_REGION = "any";

class NetworkClient implements NetworkPath {
  readonly #options: NetworkOptions;
  readonly #primitives = hostPrimitives();
  readonly #identity: Identity;
  readonly #crypto: Awaited<ReturnType<typeof openSealCrypto>>;
  readonly #slabs = new SlabPool();
  readonly #connection: PeerConnection;
  readonly #exits: SessionSwitch;
  readonly #tools;
  #ended: Promise<void> | undefined;

  constructor(options: NetworkOptions, supernodes: Supernode[], crypto: Awaited<ReturnType<typeof openSealCrypto>>) {
    const { clock, random, log = silentLog, metrics = noMetrics, caCerts, certificate, networkPublicKey } = options;
    this.#options = options;
    this.#crypto = crypto;
    this.#tools = { clock, random, log, metrics };
    this.#identity = options.identity ?? new Identity(generateSecrets(random), this.#primitives);
    this.#connection = new PeerConnection({
      ...this.#tools,
      ...{ supernodes, caCerts, certificate, primitives: this.#primitives, identity: this.#identity },
      role: "client",
      region: UNKNOWN_REGION,
      network: networkPublicKey && { networkPublicKey },
    });
    this.#exits = new SessionSwitch({
      ...this.#tools,
      supernode: this.#connection,
      acquire: (exclude, signal) => this.#acquire(exclude, signal),
      renew: async (sessionId, signal) =>
        (await this.#connection.control.request({ what: "renew", sessionId }, signal)).expiresAtMs,
      release: (sessionId) => this.#release(sessionId),
    });
  }

  get exitPeerId(): string | undefined {
    return this.#exits.present?.exitPeerId;
  }

  dial: Path["dial"] = (target, options) => this.#exits.dial(target, options);

  datagrams: NonNullable<Path["datagrams"]> = (options) => this.#exits.datagrams(options);

  close(): void {
    this.#ended ??= this.#end();
  }

  async closed(): Promise<void> {
    await this.#ended;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#ended;
  }

  /** The exits first, while the supernode can still be told. */
  async #end(): Promise<void> {
    this.#exits.close();
    await this.#exits.closed();
    this.#connection.close();
    await this.#connection.closed();
    this.#crypto[Symbol.dispose]();
  }

  async #acquire(exclude: readonly string[], signal: AbortSignal): Promise<OpenSession> {
    const { region } = this.#options;
    const wish = { ...region !== undefined && { region }, ...exclude.length > 0 && { exclude: [...exclude] } };
    const session = await this.#askForExit(wish, signal);
    try {
      return this.#open(session);
    } catch (error) {
      this.#release(session.sessionId);
      throw error;
    }
  }

  async #askForExit(wish: ExitWish, signal: AbortSignal): Promise<SessionOffer> {
    const { control } = this.#connection;
    using limit = deadline(this.#options.clock, OFFER_MS, "reach a supernode", signal);
    try {
      await control.opened(limit.signal);
      return (await control.request({ what: "exit", wish }, limit.signal)).session;
    } catch (error) {
      if (!limit.signal.aborted || signal.aborted) throw error;
      throw new DialError("path_down", `Cannot dial: no supernode has offered an exit within ${OFFER_MS} ms`, {
        cause: error,
      });
    }
  }

  #open(offer: SessionOffer): OpenSession {
    const { sessionId, exit, region, expiresAtMs } = offer;
    this.#check(offer);
    const { wireguardKey: privateKey } = this.#identity.secrets();
    const path = openSessionPath({
      ...this.#tools,
      ...{ crypto: this.#crypto, slabs: this.#slabs },
      session: { sessionId, exitPeerId: exit.peerId, exitKey: decodeBase64(exit.wireguardKey)! },
      local: { privateKey, publicKey: this.#identity.wireguardPublicKey },
      open: (signal) => this.#connection.open(signal),
      at: this.#identity.peerId,
    });
    return { sessionId, exitPeerId: exit.peerId, region, expiresAtMs, path };
  }

  /** Throws `unauthorized` unless the exit has shown that it is one, there, and that the key is its own. */
  #check({ exit, region }: SessionOffer): void {
    const { region: wanted, networkPublicKey, clock } = this.#options;
    const refusal = wanted !== undefined && region !== wanted ? "it is elsewhere" : refusalOfPeerKeys(exit, {
      ...{ role: "exit", region, wallMs: clock.wallNow(), primitives: this.#primitives },
      network: networkPublicKey && { networkPublicKey },
    });
    if (refusal) throw new DialError("unauthorized", `Cannot use the exit that was offered: ${refusal}`);
  }

  #release(sessionId: string): void {
    const { control } = this.#connection;
    if (control.isOpen) control.request({ what: "end_session", sessionId }).catch(() => {});
  }
}
