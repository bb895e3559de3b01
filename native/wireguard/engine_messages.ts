/** What our own device's engine is told, and answers. */

import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";
import type { EngineTalk } from "../worker_messages.ts";

export interface EngineOptions {
  /** What the interface shall be called; a `%d` in it is replaced by the first free number. */
  readonly name: string;
  readonly mtu: number;
  /** Use the portable primitives even where libcrypto loads. */
  readonly portableCrypto: boolean;
  /** Let the kernel hand over and take many packets at once, where it can. */
  readonly offload: boolean;
}

export interface DeviceTalk extends EngineTalk {
  readonly options: EngineOptions;
  /** What the interface is called. */
  readonly started: string;
  readonly command:
    | { readonly type: "configure"; readonly change: DeviceChange }
    | { readonly type: "status" };
  /** To the question for it. */
  readonly answer: DeviceStatus | undefined;
  readonly news: never;
}
