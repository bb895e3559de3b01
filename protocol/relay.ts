/**
 * What a stream on a data link says first: which session it belongs to and which way it goes. Supernodes pass it on until
 * it has reached the exit, each with its own hop added to the trail; then the stream carries what client and exit say to
 * each other, sealed.
 *
 *   header   version u8 = 1 | kind u8 (1 to the exit, 2 from a client, 3 a probe) | length u16 BE | body[length]
 *     body   session id length u8 | session id | options: the trail, as in `trail.ts`
 *   reply    as to a tunnel request (`tunnel.ts`)
 *
 * A client sends `toExit` to its supernode, and a supernode to the one that has the exit; the exit gets `fromClient`. Who
 * cannot take the stream further answers with a refusal and ends it; only the exit answers that it is open. So whoever
 * lies between passes bytes on as soon as it has passed the header. A client need not wait for the answer before it goes
 * on. The trail is for people: nothing vouches for it.
 *
 * A probe goes no further than the other end of the link, which answers at once: open, or `path_down` when nothing comes
 * out beyond it. Its session id means nothing.
 */

import { bad, done, type Parsed } from "./parse.ts";
import type { Hop } from "./stream.ts";
import { encodeTrail, parseTrail } from "./trail.ts";
import { concat, encodeFrame, encodeText, FRAME_HEAD_BYTES, parseFrame, parseText } from "./tunnel_frame.ts";

/** Room for the longest trail. */
const MAX_BODY_BYTES = 10_752;
/** The longest header. */
export const MAX_RELAY_HEADER_BYTES: number = FRAME_HEAD_BYTES + MAX_BODY_BYTES;
/** Kept as text by whoever made it; on the wire it is only compared. */
const SESSION_ID = /^[\x21-\x7e]{1,64}$/;

/** Towards the exit, or to it from a client; a probe belongs to no session. */
export type RelayDirection = "toExit" | "fromClient" | "probe";
const KIND_CODES: Readonly<Record<RelayDirection, number>> = { toExit: 1, fromClient: 2, probe: 3 };
const KINDS: readonly (RelayDirection | undefined)[] = [undefined, "toExit", "fromClient", "probe"];

/** The first words of a stream on a data link. */
export interface RelayHeader {
  /** Which way it goes. */
  readonly kind: RelayDirection;
  /** The session it belongs to: what `isSessionId` takes. */
  readonly sessionId: string;
  /** The places it has passed. */
  readonly trail: readonly Hop[];
}

/** Whether a text can be a session's id: 1 to 64 printable ASCII characters without spaces. */
export function isSessionId(text: string): boolean {
  return SESSION_ID.test(text);
}

/** Undefined when the session id is none. */
export function encodeRelayHeader(header: RelayHeader): Uint8Array | undefined {
  if (!isSessionId(header.sessionId)) return undefined;
  const body = concat([encodeText(header.sessionId), encodeTrail(header.trail)]);
  return encodeFrame(KIND_CODES[header.kind], body);
}

/** The header at the beginning of the bytes. */
export function parseRelayHeader(bytes: Uint8Array): Parsed<RelayHeader> {
  const framed = parseFrame(bytes, MAX_BODY_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const kind = KINDS[code];
  if (!kind) return bad("unknown kind");
  const id = parseText(body, 0);
  if (!id || !isSessionId(id.text)) return bad("malformed session id");
  const trail = parseTrail(body, id.end);
  if (!trail) return bad("malformed option");
  return done({ kind, sessionId: id.text, trail }, framed.length);
}
