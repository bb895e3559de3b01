/**
 * Probes that a node cannot answer by itself. A ticket lets whoever has it ask the orchestrator's `/probe` for an answer;
 * the answer's proof shows that the ticket arrived there, and from which address: where the node's traffic comes out.
 *
 *   ticket  base64url( nonce[16] ‖ expires ms u64 ‖ HMAC("ticket" ‖ nonce ‖ expires)[0..16] )
 *   proof   base64url( HMAC("proof" ‖ ticket ‖ 0 ‖ address ‖ 0 ‖ bytes)[0..16] )
 *
 * Nothing is remembered, so any process with the key can answer. A ticket can be used until it expires; that it is short
 * and names no more bytes than `MAX_PROBE_BYTES` bounds what it is good for.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { decodeBase64Url, encodeBase64Url } from "../encoding.ts";
import type { Random } from "../random.ts";

export const PROBE_PATH = "/probe";
export const PROBE_PROOF_HEADER = "culvert-probe-proof";
export const PROBE_ADDRESS_HEADER = "culvert-probe-address";
export const MAX_PROBE_BYTES = 1024 * 1024;

const NONCE_BYTES = 16;
const MAC_BYTES = 16;
const TICKET_BYTES = NONCE_BYTES + 8 + MAC_BYTES;

export class ProbeTickets {
  readonly #key: Uint8Array;

  /** The key is 32 secret bytes, the same in every process that answers. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  issue(expiresAtMs: number, random: Random): string {
    const ticket = new Uint8Array(TICKET_BYTES);
    random.fill(ticket.subarray(0, NONCE_BYTES));
    new DataView(ticket.buffer).setBigUint64(NONCE_BYTES, BigInt(Math.floor(expiresAtMs)));
    ticket.set(this.#mac("ticket", ticket.subarray(0, -MAC_BYTES)), TICKET_BYTES - MAC_BYTES);
    return encodeBase64Url(ticket);
  }

  /** Whether it is one of ours and has not expired. */
  isValid(text: string, nowMs: number): boolean {
    const ticket = decodeBase64Url(text);
    if (ticket?.length !== TICKET_BYTES) return false;
    const isOurs = equal(this.#mac("ticket", ticket.subarray(0, -MAC_BYTES)), ticket.subarray(-MAC_BYTES));
    const view = new DataView(ticket.buffer, ticket.byteOffset);
    return isOurs && view.getBigUint64(NONCE_BYTES) > BigInt(Math.floor(nowMs));
  }

  proof(ticket: string, address: string, bytes: number): string {
    return encodeBase64Url(this.#mac("proof", new TextEncoder().encode(`${ticket}\0${address}\0${bytes}`)));
  }

  isProof(proof: string, ticket: string, address: string, bytes: number): boolean {
    const given = decodeBase64Url(proof);
    return given?.length === MAC_BYTES && equal(decodeBase64Url(this.proof(ticket, address, bytes))!, given);
  }

  #mac(purpose: "ticket" | "proof", message: Uint8Array): Uint8Array<ArrayBuffer> {
    const mac = hmac.create(sha256, this.#key).update(new TextEncoder().encode(purpose)).update(message).digest();
    return new Uint8Array(mac.subarray(0, MAC_BYTES));
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < one.length; at++) difference |= one[at]! ^ other[at]!;
  return difference === 0;
}
