/**
 * How a node opens one tunnel: dials, waits for the challenge, says hello, and waits to be welcomed.
 *
 *   WebSocket → challenge → hello → welcome, proven → a link for the mux          refused → NodeRefusedError
 *
 * Nothing is left behind when it fails or is aborted.
 */

import { orAborted } from "../../protocol/abort.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { type HelloDetails, isWelcomeGenuine, makeHello, newNodeToken } from "../../protocol/sharing/node_auth.ts";
import {
  type Challenge,
  type FromOrchestrator,
  type Hello,
  MAX_NODE_MESSAGE_BYTES,
  NODE_PATH,
  NODE_PROTOCOL_VERSION,
  parseFromOrchestrator,
  type Refused,
  type Welcome,
} from "../../protocol/sharing/node_messages.ts";
import type { BufferPool } from "../buffer_pool.ts";
import { type DialledWebsocket, dialWebsocket, type Locate, websocketAddress } from "../websocket_dial.ts";
import { NodeLink } from "./node_link.ts";

export interface NodeHandshakeOptions {
  readonly url: string;
  /** The orchestrator that is meant; any other is not spoken to. Left out: whichever is there. */
  readonly orchestratorId?: string | undefined;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: BufferPool;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  readonly locate?: Locate | undefined;
  /** Makes the WebSocket. Default: to the URL. */
  connect?(signal: AbortSignal): Promise<DialledWebsocket>;
}

/** What comes on a tunnel that is up. */
export interface NodeLinkEvents {
  onMessage(link: NodeLink<FromOrchestrator>, message: FromOrchestrator): void;
  onEnd(link: NodeLink<FromOrchestrator>): void;
}

export interface OpenedTunnel {
  readonly link: NodeLink<FromOrchestrator>;
  readonly welcome: Welcome;
  readonly orchestratorId: string;
}

/** The orchestrator does not take the tunnel. */
export class NodeRefusedError extends CulvertError {
  override readonly name = "NodeRefusedError";
  readonly refused: Refused;

  constructor(refused: Refused) {
    super("refused", `The orchestrator refused the node: ${refused.code}: ${refused.reason}`);
    this.refused = refused;
  }
}

/** Opens a tunnel whose mux is still to be started. Rejects with a DialError, a NodeRefusedError or the signal's reason. */
export async function openNodeTunnel(
  options: NodeHandshakeOptions,
  details: Omit<HelloDetails, "nonce" | "muxExtensions">,
  { events, signal }: { readonly events: NodeLinkEvents; readonly signal: AbortSignal },
): Promise<OpenedTunnel> {
  const { caCerts, locate, random, pool, clock } = options;
  const { stream, first } = await (options.connect?.(signal) ??
    dialWebsocket(nodeAddress(options.url), { random, caCerts, locate, signal }));
  const handshake = new Handshake(options, details);
  const link: NodeLink<FromOrchestrator> = new NodeLink(stream, {
    first,
    random,
    pool,
    clock,
    maxTextBytes: MAX_NODE_MESSAGE_BYTES,
    parse: parseFromOrchestrator,
    onMessage: (message) => handshake.isOver ? events.onMessage(link, message) : handshake.receive(link, message),
    onFault: (fault) => {
      handshake.fail(new DialError("failed", `The orchestrator broke the protocol: ${fault}`));
      link.close();
    },
    onEnd: (error) => {
      handshake.fail(
        new DialError("path_down", `The orchestrator ended the connection${error ? `: ${messageOf(error)}` : ""}`),
      );
      events.onEnd(link);
    },
  });
  link.open();
  try {
    return await orAborted(handshake.done, signal);
  } catch (error) {
    link[Symbol.dispose]();
    throw error;
  }
}

/** Where the nodes of an orchestrator connect: its URL, whose path is ours unless it has one of its own. */
function nodeAddress(text: string) {
  const url = new URL(text);
  if (url.pathname === "/") url.pathname = NODE_PATH;
  return websocketAddress(url);
}

class Handshake {
  readonly #options: NodeHandshakeOptions;
  readonly #details: Omit<HelloDetails, "nonce" | "muxExtensions">;
  readonly #settle = Promise.withResolvers<OpenedTunnel>();
  #challenge: Challenge | undefined;
  #hello: Hello | undefined;
  isOver = false;

  constructor(options: NodeHandshakeOptions, details: Omit<HelloDetails, "nonce" | "muxExtensions">) {
    this.#options = options;
    this.#details = details;
    this.#settle.promise.catch(() => {}); // who waits may have been aborted before
  }

  get done(): Promise<OpenedTunnel> {
    return this.#settle.promise;
  }

  fail(error: Error): void {
    this.isOver = true;
    this.#settle.reject(error);
  }

  receive(link: NodeLink<FromOrchestrator>, message: FromOrchestrator): void {
    if (message.type === "refused") this.fail(new NodeRefusedError(message));
    else if (message.type === "challenge" && !this.#challenge) this.#sayHello(link, message);
    else if (message.type === "welcome" && this.#hello) this.#enter(link, message);
    else this.fail(new DialError("failed", `The orchestrator broke the protocol: a ${message.type} was not expected`));
  }

  #sayHello(link: NodeLink<FromOrchestrator>, challenge: Challenge): void {
    const { orchestratorId, identity, random } = this.#options;
    if (challenge.version !== NODE_PROTOCOL_VERSION) {
      return this.fail(
        new DialError("unsupported", `The orchestrator speaks version ${challenge.version} of the protocol`),
      );
    }
    if (orchestratorId !== undefined && challenge.orchestratorId !== orchestratorId) {
      return this.fail(new DialError("unauthorized", "The orchestrator is not the one that is meant"));
    }
    const nonce = newNodeToken(random);
    this.#challenge = challenge;
    this.#hello = makeHello(identity, challenge, { ...this.#details, nonce, muxExtensions: true });
    link.send(this.#hello);
  }

  #enter(link: NodeLink<FromOrchestrator>, welcome: Welcome): void {
    const { orchestratorId } = this.#challenge!;
    if (!isWelcomeGenuine(welcome, { orchestratorId, hello: this.#hello! }, this.#options.primitives)) {
      return this.fail(
        new DialError("unauthorized", "The orchestrator has not shown that it is the one it says it is"),
      );
    }
    this.isOver = true;
    link.keepEarly();
    this.#settle.resolve({ link, welcome, orchestratorId });
  }
}
