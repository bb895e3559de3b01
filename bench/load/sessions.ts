/**
 * Sets up sessions with an exit, one after the other: asks for one, opens the way through it, and waits for the first
 * byte of an answer from beyond the exit. What a client does, without the proxy in front.
 */

import { PeerConnection } from "../../net/peer_connection.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { openSessionPath } from "../../net/session_path.ts";
import type { SealParts } from "../../net/sealed_stream.ts";
import { SlabPool } from "../../net/slab_pool.ts";
import { clockOf } from "../../protocol/clock.ts";
import type { Command, SupernodeAddress } from "../../protocol/control/commands.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { type Target, writeAll } from "../../protocol/stream.ts";
import { ClientSessions } from "../../roles/client/sessions.ts";
import { REQUEST, REQUEST_BYTES } from "./source.ts";

/** Not counted: code that has never run, and supernodes that have not met. */
const WARM = 5;
/** One client may ask its supernode 50 things at once, and a session takes two. */
const SESSIONS_PER_CLIENT = 20;

const tools = {
  clock: clockOf(globalThis),
  random: randomOf(crypto),
  primitives: hostPrimitives(),
  log: silentLog,
  metrics: noMetrics,
};
const never = new AbortController().signal;

export interface SessionsOptions {
  readonly supernode: SupernodeAddress;
  readonly target: Target;
  readonly count: number;
}

/** Milliseconds of each. */
export async function runSessions({ supernode, target, count }: SessionsOptions): Promise<{ tookMs: number[] }> {
  using crypto = await openSealCrypto();
  const tookMs: number[] = [];
  while (tookMs.length < count + WARM) {
    await using client = await Client.connect(supernode, crypto);
    const left = count + WARM - tookMs.length;
    for (let turn = 0; turn < Math.min(left, SESSIONS_PER_CLIENT); turn++) tookMs.push(await client.ask(target));
  }
  return { tookMs: tookMs.slice(WARM) };
}

/** Holds a session and does nothing about its exit; tells which that is, and then when ROTATE_PEER has come. */
export async function awaitRotation(supernode: SupernodeAddress, tell: (line: object) => void): Promise<void> {
  using crypto = await openSealCrypto();
  const rotated = Promise.withResolvers<number>();
  const onCommand = ({ kind }: Command) => kind === "ROTATE_PEER" && rotated.resolve(tools.clock.wallNow());
  await using client = await Client.connect(supernode, crypto, onCommand);
  tell({ exitPeerId: await client.hold() });
  tell({ rotatedAtMs: await rotated.promise });
}

/** What `culvert client` is made of, with nothing in front. */
class Client implements AsyncDisposable {
  readonly #connection: PeerConnection;
  readonly #sessions: ClientSessions;

  private constructor(supernode: SupernodeAddress, crypto: SealParts["crypto"], onCommand: (command: Command) => void) {
    const identity = new Identity(generateSecrets(tools.random), tools.primitives);
    const connection: PeerConnection = this.#connection = new PeerConnection({
      ...tools,
      identity,
      role: "client",
      region: "bench",
      supernodes: [supernode],
      onCommand: (command) => {
        onCommand(command);
        connection.control.answer({ type: "command.result", commandId: command.commandId, status: "applied" });
      },
    });
    const local = { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey };
    const parts = { ...tools, identity, local, network: undefined, crypto, slabs: new SlabPool() };
    this.#sessions = new ClientSessions({
      ...parts,
      control: () => connection.control,
      way: () => connection,
      openWay: (session) =>
        openSessionPath({ ...parts, session, open: (signal) => connection.open(signal), at: identity.peerId }),
    });
  }

  /** Settles when it has all that a client has before it wants an exit. */
  static async connect(
    supernode: SupernodeAddress,
    crypto: SealParts["crypto"],
    onCommand: (command: Command) => void = () => {},
  ): Promise<Client> {
    const client = new Client(supernode, crypto, onCommand);
    await client.#connection.control.opened(never);
    (await client.#connection.open(never)).close();
    return client;
  }

  /** Asks for a session, which it keeps without using it; gives the exit's peer id. */
  async hold(): Promise<string> {
    const { exitPeerId, path } = await this.#sessions.request({}, never);
    path.close();
    await path.closed();
    return exitPeerId;
  }

  /** Gives the milliseconds to the first byte through a session that is new, and lets go of it. */
  async ask(target: Target): Promise<number> {
    const startMs = tools.clock.now();
    const { sessionId, path } = await this.#sessions.request({}, never);
    const stream = await path.dial(target);
    const request = new Uint8Array(REQUEST_BYTES);
    request[0] = REQUEST;
    await writeAll(stream, request);
    if (await stream.read(new Uint8Array(1)) === null) throw new Error("Cannot measure: there was no answer");
    const tookMs = tools.clock.now() - startMs;
    stream.close();
    path.close();
    await path.closed();
    await this.#connection.control.request({ what: "end_session", sessionId });
    return tookMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
    await this.#connection.closed();
  }
}
