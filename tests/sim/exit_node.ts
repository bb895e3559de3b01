/**
 * An exit: the real handlers of its commands, and a model of the server behind them.
 */

import { createMemoryServedSessions, type ServedSessionStore } from "../../kv/served_sessions.ts";
import type { ServedSession } from "../../net/session_server.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import { DialError } from "../../protocol/errors.ts";
import { SessionReports } from "../../roles/exit/session_reports.ts";
import { exitHandlers, restoreSessions } from "../../roles/exit/sessions.ts";
import type { EndKind } from "./network.ts";
import { PeerNode, type PeerPlace } from "./peer_node.ts";
import type { World } from "./world.ts";

const MAX_SESSIONS = 1024;
const BANDWIDTH_MBPS = 100;

export class ExitNode extends PeerNode {
  readonly #store: ServedSessionStore;
  /** Sessions that the program serves at present, and until when. */
  readonly served = new Map<string, number>();
  /** When it last went away. */
  endedMs = 0;

  constructor(world: World, place: PeerPlace) {
    super(world, place);
    this.#store = createMemoryServedSessions(world.clock);
  }

  async start(): Promise<void> {
    const { program, log } = this.begin();
    const { clock } = program;
    const { primitives } = this.world;
    this.served.clear();
    const watch = (sessionId: string) => {
      clock.after(this.served.get(sessionId)! - clock.wallNow(), () => {
        if ((this.served.get(sessionId) ?? Infinity) > clock.wallNow()) return;
        this.served.delete(sessionId);
        reports.ended(sessionId, "expired");
      });
    };
    const server = {
      setUp: ({ sessionId, expiresAtMs }: ServedSession) => {
        if (expiresAtMs <= clock.wallNow()) throw new DialError("unauthorized", "It has expired");
        if (this.served.size >= MAX_SESSIONS) throw new DialError("busy", "There are too many");
        this.served.set(sessionId, expiresAtMs);
        watch(sessionId);
      },
      renew: (sessionId: string, expiresAtMs: number) => {
        if (!this.served.has(sessionId)) return false;
        this.served.set(sessionId, expiresAtMs);
        watch(sessionId);
        return true;
      },
      expiryOf: (sessionId: string) => this.served.get(sessionId),
      remove: (sessionId: string) => this.served.delete(sessionId),
    };
    const store = this.world.disk(this.#store, program);
    const control = () => this.run!.control!;
    const reports = new SessionReports({ server, store, control, clock, log });
    const unserved = await restoreSessions({ server, store });
    const handlers = exitHandlers({
      server,
      store,
      primitives,
      network: undefined,
      clock,
      log,
      supernodeId: () => control().supernode.supernodeId,
      isDraining: () => false,
    });
    await this.launch(program, {
      role: "exit",
      handlers,
      telemetry: () => this.#telemetry(),
      onOpen: () => reports.opened(),
    });
    for (const sessionId of unserved) reports.ended(sessionId, "shutdown");
    log.info("exit is up", { peer_id: this.peerId });
  }

  override kill(kind: EndKind): void {
    super.kill(kind);
    this.served.clear();
    this.endedMs = this.world.clock.now();
  }

  #telemetry(): Telemetry {
    const load = Math.min(1, this.served.size / MAX_SESSIONS);
    return { load, spareMbps: BANDWIDTH_MBPS * (1 - load), sessions: this.served.size };
  }
}
