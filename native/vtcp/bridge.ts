/**
 * The bridge of vtcp, as the main thread has it: QUIC, which owns a UDP port, on the one side, and packets of our making on
 * the other. It runs in a Worker, where nothing that the main thread does holds packets up.
 *
 *   Deno.QuicEndpoint ⇄ loopback UDP ⇄ Worker: client_bridge.ts, server_bridge.ts ⇄ raw TCP look (or UDP)
 *
 *   await using bridge = await openBridge({ side: "client", carrier, quicPort }, { log, onNews });
 *   Deno.connectQuic({ endpoint, hostname: "127.0.0.1", port: bridge.loopbackPort, … })
 */

import type { Log } from "../../protocol/log.ts";
import type { NamedSecret } from "../../protocol/sealed_packets/credentials.ts";
import { EngineWorker } from "../engine_worker.ts";
import type { BridgeCounts, BridgeNews, BridgeOptions, BridgeStarted, BridgeTalk } from "./bridge_messages.ts";

export interface BridgeSurroundings {
  readonly log: Log;
  onNews(news: BridgeNews): void;
}

export interface Bridge extends AsyncDisposable, BridgeStarted {
  /** Settles when it has ended: undefined after `close`, otherwise what ended it. */
  readonly ended: Promise<Error | undefined>;
  /** A client goes on from and to other ports, of those there are. */
  hop(): Promise<void>;
  counts(): Promise<BridgeCounts>;
  /** A server with a gate lets in one more. Rejects when its name or secret is another's. */
  admit(client: NamedSecret): Promise<void>;
  /** Nothing of that client is passed on any more; false when there is none of that name. */
  revoke(name: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Rejects with the reason when it cannot be: no privilege, a port that is taken. */
export async function openBridge(options: BridgeOptions, { log, onNews }: BridgeSurroundings): Promise<Bridge> {
  const engine = new EngineWorker<BridgeTalk>({
    module: new URL("./main_bridge.ts", import.meta.url),
    name: `vtcp ${options.side}`,
    title: () => "vtcp bridge",
    start: options,
    log,
    onNews,
  });
  try {
    const started = await engine.started;
    return {
      ...started,
      ended: engine.ended,
      hop: async () => void await engine.ask({ type: "hop" }),
      counts: async () => await engine.ask({ type: "counts" }) as BridgeCounts,
      admit: async (client) => void await engine.ask({ type: "admit", client }),
      revoke: async (name) => await engine.ask({ type: "revoke", name }) as boolean,
      close: () => engine.close(),
      [Symbol.asyncDispose]: () => engine.close(),
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}
