/**
 * SETUP_EXIT and DISCONNECT at an exit: which clients are served, kept across restarts.
 *
 *   SETUP_EXIT            ──→ is the client's key its own? ──→ serve ──→ store
 *   SETUP_EXIT that renews ─→ the same, for a session that is served; should it fail, that goes on as it was
 *   DISCONNECT            ──→ serve no longer ──→ store, as soon as it works
 *
 * A session whose client sends packets is served as any other, and its packets are let in besides.
 */

import type { ServedSessionStore } from "../../kv/served_sessions.ts";
import type { SessionServer } from "../../net/session_server.ts";
import type { Clock } from "../../protocol/clock.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../../protocol/control/auth.ts";
import type { Command, SetupExit } from "../../protocol/control/commands.ts";
import type { CertificateRefusal } from "../../protocol/certificate.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import type { ServedSessionRecord } from "../../protocol/session.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { CommandHandlers } from "../peer/commands.ts";
import { untilStored } from "../peer/stored.ts";
import type { GrantedPackets, PacketService } from "./packets/packet_service.ts";

/** As long as it takes to look up a relay's name. */
const RESTORE_WITHIN_MS = 10_000;

export interface ExitSessionsOptions {
  readonly server: Pick<SessionServer, "setUp" | "renew" | "expiryOf" | "remove">;
  readonly store: ServedSessionStore;
  /** Absent: this exit carries no packets. */
  readonly packets?: Pick<PacketService, "setUp" | "remove" | "granted"> | undefined;
  /** Where anybody reaches its WireGuard, if they do. */
  readonly endpoint?: string | undefined;
  readonly primitives: Primitives;
  readonly network: ClosedNetwork | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** The supernode it is connected to. */
  supernodeId(): string;
  /** Whether no new sessions are to be taken. */
  isDraining(): boolean;
}

/** Serves again what an earlier process served, as far as it still can, and gives the ids of the others. */
export async function restoreSessions(
  { server, store, packets }: Pick<ExitSessionsOptions, "server" | "store" | "packets">,
): Promise<string[]> {
  const left: string[] = [];
  const takeUp = async (session: ServedSessionRecord) => {
    const { sessionId } = session;
    try {
      serve(server, session);
      if (session.packets) await restorePackets(session.packets, session, packets);
      requireLiving(server, sessionId);
    } catch (error) {
      if (!(error instanceof DialError) && !(error instanceof CulvertError)) throw error;
      server.remove(sessionId);
      await packets?.remove(sessionId);
      await store.remove(sessionId);
      left.push(sessionId);
    }
  };
  // Of several of one client, the newest comes last again. Clients do not wait for each other's look-ups.
  const sessions = (await store.load()).toSorted((one, other) => one.expiresAtMs - other.expiresAtMs);
  await Promise.all([...Map.groupBy(sessions, ({ clientKey }) => clientKey).values()].map(async (ofClient) => {
    for (const session of ofClient) await takeUp(session);
  }));
  return left;
}

/** With the very addresses that the client has, or not at all. */
async function restorePackets(
  { grant, ...setup }: GrantedPackets,
  { sessionId, clientPeerId, clientKey }: ServedSessionRecord,
  packets: ExitSessionsOptions["packets"],
): Promise<void> {
  if (!packets) throw noPackets();
  const order = { sessionId, clientPeerId, clientKey, setup, wishes: grant.addresses };
  const { grant: again } = await packets.setUp(order, AbortSignal.timeout(RESTORE_WITHIN_MS));
  if (again.addresses.join() === grant.addresses.join()) return;
  throw new CulvertError("no_address", "Cannot take the client back: its addresses are not to be had any more");
}

export function exitHandlers(options: ExitSessionsOptions): CommandHandlers {
  const { server, store, packets, endpoint, clock, log } = options;
  const end = async (sessionId: string) => {
    server.remove(sessionId);
    await packets?.remove(sessionId);
    await store.remove(sessionId);
  };
  return {
    SETUP_EXIT: {
      async apply(command, signal) {
        const { sessionId, payload } = command;
        if (options.isDraining()) throw new CulvertError("draining", "The exit takes no new sessions");
        checkClient(payload, options);
        if (payload.packets && !packets) throw noPackets();
        const { clientPeerId, clientWireguardKey: clientKey, expiresAtMs, renews } = payload;
        const session = { sessionId, clientPeerId, clientKey, expiresAtMs, supernodeId: options.supernodeId() };
        const oldExpiryMs = server.expiryOf(sessionId);
        if (renews && oldExpiryMs === undefined) throw new CulvertError("unknown_session", "There is no such session");
        serve(server, session);
        try {
          const granted = await grantPackets(command, packets, signal);
          requireLiving(server, sessionId);
          await store.save({ ...session, ...granted && { packets: granted } });
          return granted && { packets: granted.grant, ...endpoint !== undefined && { endpoint } };
        } catch (error) {
          if (renews) server.renew(sessionId, oldExpiryMs!);
          else {
            server.remove(sessionId);
            await packets?.remove(sessionId).catch(() => {}); // the first failure is the one to tell
          }
          throw error;
        }
      },
      undo: ({ sessionId, payload }) => payload.renews ? undefined : end(sessionId),
    },
    DISCONNECT: {
      async apply({ sessionId }, signal) {
        const ended = sessionId === undefined ? (await store.load()).map((session) => session.sessionId) : [sessionId];
        for (const each of ended) server.remove(each);
        const shutOut = await Promise.allSettled(ended.map((each) => packets?.remove(each)));
        // One that stayed in the store would be served again after a restart.
        for (const each of ended) await untilStored(() => store.remove(each), { clock, log, signal });
        const failed = shutOut.find((one) => one.status === "rejected");
        if (failed) throw failed.reason;
      },
    },
  };
}

/** Lets the client's packets in, if there are to be any. One that only goes on keeps what it has. */
async function grantPackets(
  { sessionId, payload }: Extract<Command, { kind: "SETUP_EXIT" }>,
  packets: ExitSessionsOptions["packets"],
  signal: AbortSignal,
): Promise<GrantedPackets | undefined> {
  const { packets: setup, allowedIps: wishes = [], clientPeerId, clientWireguardKey: clientKey, renews } = payload;
  if (renews || !setup) return packets?.granted(sessionId);
  return await packets?.setUp({ sessionId, clientPeerId, clientKey, setup, wishes }, signal);
}

/** Its time may have come while its packets were let in, and nothing would end them any more. */
function requireLiving(server: ExitSessionsOptions["server"], sessionId: string): void {
  if (server.expiryOf(sessionId) === undefined) throw new CulvertError("expired", "The session has expired meanwhile");
}

function noPackets(): CulvertError {
  return new CulvertError("unsupported_packets", "This exit carries no packets: it was started without --tun");
}

function serve(
  server: ExitSessionsOptions["server"],
  { sessionId, clientKey, expiresAtMs }: ServedSessionRecord,
): void {
  server.setUp({ sessionId, clientKey: decodeBase64(clientKey) as Bytes, expiresAtMs });
}

/** In a closed network the supernode's word is not enough. */
function checkClient(setup: SetupExit, { primitives, network, clock }: ExitSessionsOptions): void {
  const { clientPeerId: peerId, clientWireguardKey: wireguardKey, clientProof } = setup;
  if (!clientProof) {
    if (network) throw new CulvertError("no_proof", "The client's key must be proven in a closed network");
    return;
  }
  const keys = { peerId, wireguardKey, ...clientProof };
  let fault: CertificateRefusal | undefined;
  const refusal = refusalOfPeerKeys(keys, {
    role: setup.packets?.isTerminated ? SUPERNODE_ROLE : "client",
    wallMs: clock.wallNow(),
    primitives,
    network,
    onBadCertificate: (refusal) => fault = refusal,
  });
  if (!refusal) return;
  throw new CulvertError(
    refusal,
    fault ? `The client's certificate will not do: ${fault}` : "The client's key is not its own",
  );
}
