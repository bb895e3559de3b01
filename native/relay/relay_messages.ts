/** What the relay is told, and tells. */

import type { RelaySide } from "../../protocol/wireguard/relay_session.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import type { EngineTalk } from "../worker_messages.ts";

export interface RelaySession {
  readonly sessionId: string;
  /** Left out: any free one of the range. */
  readonly port?: number;
  readonly clientKey: Key;
  readonly exitKey: Key;
  /** Where a side is, when that is known before it says so. */
  readonly clientAt?: Endpoint;
  readonly exitAt?: Endpoint;
}

export interface RelayCounts {
  readonly sessionId: string;
  readonly port: number;
  /** Of datagrams that came from a side whose place was known, for the other. */
  readonly toExitBytes: number;
  readonly toClientBytes: number;
  /** Datagrams that went nowhere, whoever sent them. */
  readonly droppedDatagrams: number;
  readonly clientAt?: Endpoint;
  readonly exitAt?: Endpoint;
}

export interface RelayEngineOptions {
  readonly firstPort: number;
  readonly lastPort: number;
  readonly maxSessions: number;
}

export type RelayCommand =
  | { readonly type: "open"; readonly session: RelaySession }
  | { readonly type: "place"; readonly sessionId: string; readonly side: RelaySide; readonly at: Endpoint }
  | { readonly type: "end"; readonly sessionId: string }
  | { readonly type: "counts" };

/** A port for `open`, the counts for `counts`. */
export type RelayAnswer = number | RelayCounts[] | undefined;

/** A handshake has shown that a side is at another place than before. */
export interface RelayNews {
  readonly sessionId: string;
  readonly side: RelaySide;
  readonly at: Endpoint;
}

export interface RelayTalk extends EngineTalk {
  readonly options: RelayEngineOptions;
  readonly started: undefined;
  readonly command: RelayCommand;
  readonly answer: RelayAnswer;
  readonly news: RelayNews;
}
