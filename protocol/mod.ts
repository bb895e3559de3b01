/**
 * Culvert's formats: what goes over the wire, as bytes in and bytes out, and as schemas. For programs that speak with a
 * network by themselves; who only wants to carry streams through one needs nothing of it.
 *
 * @module
 */

export * from "./certificate.ts";
export * from "./control/commands.ts";
export * from "./control/messages.ts";
export * from "./control/peer_keys.ts";
export * from "./directory.ts";
export * from "./encoding.ts";
export * from "./http_proxy.ts";
export * from "./http_signature.ts";
export * from "./identity.ts";
export * from "./mux_frame.ts";
export * from "./primitives.ts";
export * from "./relay.ts";
export * from "./signing.ts";
export * from "./socks.ts";
export * from "./websocket.ts";
