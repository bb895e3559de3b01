/** What the packet relay's engine is told, and tells. */

import type { RoutePlace } from "../../protocol/sealed_route/ticket.ts";
import type { RouteRule } from "../../protocol/sealed_route/policy.ts";
import type { Key } from "../../protocol/wireguard/settings.ts";
import type { EngineTalk } from "../worker_messages.ts";

export interface PacketRelayEngineOptions {
  readonly relayKey: Key;
  /** Those who may ask for tickets. */
  readonly clients: readonly string[];
  /** Where they may lead; none: public addresses. */
  readonly rules: readonly RouteRule[];
  /** Addresses of this machine, where no ticket leads without a rule. */
  readonly ownAddresses: readonly string[];
  /** An address of this machine, or that of all of them. */
  readonly listen: RoutePlace;
  /** Others may have the same port. */
  readonly sharesPort: boolean;
  readonly ticketLifetimeMs: number;
  readonly accountBytesPerS?: number;
  readonly epochBytesPerS?: number;
}

export interface PacketRelayCounts {
  readonly forwardedPackets: number;
  readonly forwardedBytes: number;
  /** Datagrams that went nowhere, by `DropReason`. */
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Questions, by what they were answered with. */
  readonly questions: Readonly<Record<QuestionOutcome, number>>;
}

export const DROP_REASONS = ["malformed", "foreign", "expired", "stranger", "limited", "refused"] as const;
export type DropReason = (typeof DROP_REASONS)[number];
export const QUESTION_OUTCOMES = ["granted", "closed", "busy", "clock", "ignored"] as const;
export type QuestionOutcome = (typeof QUESTION_OUTCOMES)[number];

export interface PacketRelayTalk extends EngineTalk {
  readonly options: PacketRelayEngineOptions;
  /** The port it listens on. */
  readonly started: { readonly port: number };
  readonly command: "counts";
  readonly answer: PacketRelayCounts;
  readonly news: undefined;
}
