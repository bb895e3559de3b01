/**
 * What the main thread and the engine's Worker say to each other. The Worker sleeps in the kernel, so after posting to it
 * the main thread adds one to an eventfd; the Worker then turns to its messages until it has seen as many.
 */

import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";
import type { LogMessage, PlainError } from "../worker_messages.ts";

export interface EngineOptions {
  /** What the interface shall be called; a `%d` in it is replaced by the first free number. */
  readonly name: string;
  readonly mtu: number;
  /** Use the portable primitives even where libcrypto loads. */
  readonly portableCrypto: boolean;
  /** Let the kernel hand over and take many packets at once, where it can. */
  readonly offload: boolean;
}

export type ToEngine =
  | { readonly type: "open"; readonly options: EngineOptions; readonly wakeFd: number }
  | { readonly type: "configure"; readonly id: number; readonly change: DeviceChange }
  | { readonly type: "status"; readonly id: number }
  | { readonly type: "close" };

export type FromEngine =
  | { readonly type: "opened"; readonly interfaceName: string }
  | { readonly type: "answer"; readonly id: number; readonly status?: DeviceStatus; readonly error?: PlainError }
  | LogMessage
  /** The last thing it says; an error when nobody asked it to end. */
  | { readonly type: "ended"; readonly error?: PlainError };
