/**
 * Sets up sessions with an exit, one after the other: asks for one, opens the way through it, and waits for the first
 * byte of an answer from beyond the exit. What a client does, without the proxy in front.
 */

import { PeerConnection } from "../../net/peer_connection.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { SlabPool } from "../../net/slab_pool.ts";
import { clockOf } from "../../protocol/clock.ts";
import type { SupernodeAddress } from "../../protocol/control/commands.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { type Target, writeAll } from "../../protocol/stream.ts";
import { ClientSessions } from "../../roles/client/sessions.ts";
import { REQUEST, REQUEST_BYTES } from "./source.ts";

/** Not counted: code that has never run, and supernodes that have not met. */
const WARM = 5;

export interface SessionsOptions {
  readonly supernode: SupernodeAddress;
  readonly target: Target;
  readonly count: number;
}

/** Milliseconds of each. */
export async function runSessions({ supernode, target, count }: SessionsOptions): Promise<{ tookMs: number[] }> {
  const clock = clockOf(globalThis);
  const random = randomOf(crypto);
  const primitives = hostPrimitives();
  const identity = new Identity(generateSecrets(random), primitives);
  const tools = { clock, random, primitives, log: silentLog, metrics: noMetrics };
  using seal = await openSealCrypto();
  using connection = new PeerConnection({
    ...tools,
    identity,
    role: "client",
    region: "bench",
    supernodes: [supernode],
  });
  const local = { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey };
  const parts = { ...tools, identity, local, network: undefined, crypto: seal, slabs: new SlabPool() };
  const sessions = new ClientSessions({ parts, context: tools, connection: () => connection });
  const { signal } = new AbortController();
  await connection.control.opened(signal);
  // The data link is there before a client has anything to send.
  (await connection.open(signal)).close();

  const tookMs: number[] = [];
  for (let turn = -WARM; turn < count; turn++) {
    const startMs = clock.now();
    const session = await sessions.request({}, signal);
    const stream = await session.path.dial(target);
    const request = new Uint8Array(REQUEST_BYTES);
    request[0] = REQUEST;
    await writeAll(stream, request);
    if (await stream.read(new Uint8Array(1)) === null) throw new Error("Cannot measure: there was no answer");
    if (turn >= 0) tookMs.push(clock.now() - startMs);
    stream.close();
    session.path.close();
    await session.path.closed();
    await connection.control.request({ what: "end_session", sessionId: session.sessionId });
  }
  connection.close();
  await connection.closed();
  return { tookMs };
}
