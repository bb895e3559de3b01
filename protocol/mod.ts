/**
 * Culvert's formats: what goes over the wire, as bytes in and bytes out, and as schemas. For programs that speak with a
 * network by themselves; who only wants to carry streams through one needs nothing of it.
 *
 * @module
 */

export * from "./certificate.ts";
export type { ClosedNetwork, SupernodeRole } from "./control/auth.ts";
export * from "./control/commands.ts";
export * from "./control/messages.ts";
export * from "./control/peer_keys.ts";
export * from "./directory.ts";
export * from "./encoding.ts";
export { type PeerKeys, peerKeysSchema } from "./fields.ts";
export type { Framing } from "./http_body.ts";
export type { Field as HttpField, RequestHead as HttpRequestHead, ResponseHead } from "./http_head.ts";
export * from "./http_proxy.ts";
export * from "./http_signature.ts";
export * from "./identity.ts";
export * from "./mux_frame.ts";
export type { Parsed } from "./parse.ts";
export * from "./primitives.ts";
export type { Random } from "./random.ts";
export * from "./relay.ts";
export * from "./signing.ts";
export * from "./socks.ts";
export type { Hop, Target } from "./stream.ts";
export type { InnerList } from "./structured_field.ts";
export * from "./websocket.ts";
