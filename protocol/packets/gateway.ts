/**
 * What a client and its exit say to each other inside the tunnel: one JSON text to a UDP datagram, between the client's
 * address there and one of the exit's gateway addresses, port 7007.
 *
 *   client                      gateway
 *   probe { id }        ──────→          whether packets get there and back
 *                       ←──────  probe.answer { id, ok: does the exit's own way out work? }
 *   punch.offer         ──────→          where each may be found without the relay (`punch_offer.ts`)
 *                       ←──────  punch.answer
 *
 * Datagrams are lost: a client asks again under the same id until it is answered, and a gateway may answer each. Nothing
 * here says who is speaking, since WireGuard has seen to it that an inner address is its owner's.
 */

import { z } from "zod";
import { tokenSchema } from "../fields.ts";
import { type PunchAnswer, punchAnswerSchema, punchOfferSchema } from "./punch_offer.ts";

/** UDP, on every gateway address. */
export const GATEWAY_PORT = 7007;
/** Fits into every tunnel: IPv6 asks for packets of 1280 bytes, 48 of which are headers. */
export const MAX_GATEWAY_BYTES = 1200;

export const probeSchema = z.object({ type: z.literal("probe"), id: tokenSchema });
export type Probe = z.infer<typeof probeSchema>;

export const probeAnswerSchema = z.object({
  type: z.literal("probe.answer"),
  id: tokenSchema,
  /** Whether what the exit itself sends to the internet is answered, as far as it knows. */
  ok: z.boolean(),
});
export type ProbeAnswer = z.infer<typeof probeAnswerSchema>;

export const gatewayRequestSchema = z.discriminatedUnion("type", [probeSchema, punchOfferSchema]);
export type GatewayRequest = z.infer<typeof gatewayRequestSchema>;

export const gatewayAnswerSchema = z.discriminatedUnion("type", [probeAnswerSchema, punchAnswerSchema]);
export type GatewayAnswer = z.infer<typeof gatewayAnswerSchema>;

/** What a request of each type is answered with, under the same id. */
interface Answers {
  readonly "probe": ProbeAnswer;
  readonly "punch.offer": PunchAnswer;
}
export type AnswerTo<R extends GatewayRequest> = Answers[R["type"]];

export const gatewayMessageSchema = z.discriminatedUnion("type", [gatewayRequestSchema, gatewayAnswerSchema]);
export type GatewayMessage = z.infer<typeof gatewayMessageSchema>;

/** Reads a datagram that may come from anyone; undefined if it is no message. Unknown fields are dropped. */
export function parseGateway(bytes: Uint8Array): GatewayMessage | undefined {
  if (bytes.length > MAX_GATEWAY_BYTES) return undefined;
  return gatewayMessageSchema.safeParse(jsonOf(bytes)).data;
}

/** One datagram's worth; throws where a message would not fit, which none does that has been parsed. */
export function encodeGateway(message: GatewayMessage): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(JSON.stringify(message));
  if (bytes.length > MAX_GATEWAY_BYTES) {
    throw new RangeError(
      `Cannot encode ${message.type}: it must have at most ${MAX_GATEWAY_BYTES} bytes, got ${bytes.length}`,
    );
  }
  return bytes;
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
