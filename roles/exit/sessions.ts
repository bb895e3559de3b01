/**
 * SETUP_EXIT and DISCONNECT at an exit: which clients are served, kept across restarts.
 *
 *   SETUP_EXIT            ──→ is the client's key its own? ──→ serve ──→ store
 *   SETUP_EXIT that renews ─→ the same, for a session that is served; should it fail, that goes on as it was
 *   DISCONNECT            ──→ serve no longer ──→ store, as soon as it works
 */

import type { ServedSessionStore } from "../../kv/served_sessions.ts";
import type { SessionServer } from "../../net/session_server.ts";
import type { Clock } from "../../protocol/clock.ts";
import { type ClosedNetwork, SUPERNODE_ROLE } from "../../protocol/control/auth.ts";
import type { SetupExit } from "../../protocol/control/commands.ts";
import type { CertificateRefusal } from "../../protocol/certificate.ts";
import { refusalOfPeerKeys } from "../../protocol/control/peer_keys.ts";
import type { ServedSessionRecord } from "../../protocol/session.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { CommandHandlers } from "../peer/commands.ts";
import { untilStored } from "../peer/stored.ts";

export interface ExitSessionsOptions {
  readonly server: Pick<SessionServer, "setUp" | "renew" | "expiryOf" | "remove">;
  readonly store: ServedSessionStore;
  readonly primitives: Primitives;
  readonly network: ClosedNetwork | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** The supernode it is connected to. */
  supernodeId(): string;
  /** Whether no new sessions are to be taken. */
  isDraining(): boolean;
}

/** Serves again what an earlier process served, as far as there is still room, and gives the ids of the others. */
export async function restoreSessions(
  { server, store }: Pick<ExitSessionsOptions, "server" | "store">,
): Promise<string[]> {
  const left: string[] = [];
  for (const session of await store.load()) {
    try {
      serve(server, session);
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      await store.remove(session.sessionId);
      left.push(session.sessionId);
    }
  }
  return left;
}

export function exitHandlers(options: ExitSessionsOptions): CommandHandlers {
  const { server, store, clock, log } = options;
  const end = async (sessionId: string) => {
    server.remove(sessionId);
    await store.remove(sessionId);
  };
  return {
    SETUP_EXIT: {
      async apply({ sessionId, payload }) {
        if (options.isDraining()) throw new CulvertError("draining", "The exit takes no new sessions");
        checkClient(payload, options);
        const { clientWireguardKey: clientKey, expiresAtMs, renews } = payload;
        const session = { sessionId, clientKey, expiresAtMs, supernodeId: options.supernodeId() };
        const oldExpiryMs = server.expiryOf(sessionId);
        if (renews && oldExpiryMs === undefined) throw new CulvertError("unknown_session", "There is no such session");
        serve(server, session);
        try {
          await store.save(session);
        } catch (error) {
          if (renews) server.renew(sessionId, oldExpiryMs!);
          else server.remove(sessionId);
          throw error;
        }
      },
      undo: ({ sessionId, payload }) => payload.renews ? undefined : end(sessionId),
    },
    DISCONNECT: {
      async apply({ sessionId }, signal) {
        const ended = sessionId === undefined ? (await store.load()).map((session) => session.sessionId) : [sessionId];
        for (const each of ended) server.remove(each);
        // One that stayed in the store would be served again after a restart.
        for (const each of ended) await untilStored(() => store.remove(each), { clock, log, signal });
      },
    },
  };
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
