/**
 * What the main thread and the relay's Worker say to each other, and what the relay is told and tells. The Worker sleeps in
 * the kernel, so after posting to it the main thread adds one to an eventfd; the Worker then turns to its messages until it
 * has seen as many.
 */

import type { RelaySide } from "../../protocol/wireguard/relay_session.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import type { LogMessage, PlainError } from "../worker_messages.ts";

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

export type ToRelay =
  | { readonly type: "start"; readonly options: RelayEngineOptions; readonly wakeFd: number }
  | { readonly type: "command"; readonly id: number; readonly command: RelayCommand }
  | { readonly type: "close" };

export type FromRelay =
  | { readonly type: "started" }
  | { readonly type: "answer"; readonly id: number; readonly answer?: RelayAnswer; readonly error?: PlainError }
  | { readonly type: "learned"; readonly sessionId: string; readonly side: RelaySide; readonly at: Endpoint }
  | LogMessage
  /** The last thing it says; an error when nobody asked it to end. */
  | { readonly type: "ended"; readonly error?: PlainError };
