/**
 * What a stream on a link to a meeting relay says first: who asks for one says to whom it should go, the relay says to
 * whoever it has brought it from whom it comes. Then it carries what the two say to each other, sealed (`knock.ts`).
 *
 *   header   version u8 = 1 | kind u8 (1 to, 2 from) | length u16 BE = 16 | peer id[16]
 *   reply    as to a tunnel request (`tunnel.ts`)
 *
 * Only the peer it has come to answers that it is open. A relay that cannot take it there answers with a refusal: `unresolved`
 * when that peer has no link here, `busy` when there are as many as may be. From whom it comes is the relay's word, good
 * for limits; who it is, is shown under the seal.
 */

import { decodeBase32, encodeBase32 } from "../encoding.ts";
import { isPeerId } from "../identity.ts";
import { bad, done, type Parsed } from "../parse.ts";
import { encodeFrame, parseFrame } from "../tunnel_frame.ts";

/**
 * Below a relay's URL: for links on which streams are only asked for, and for those to whose dialler they may be brought as
 * well. So a program that fetches something in passing is never taken for the one of the same peer that serves.
 */
export const GUEST_PATH = "/v1/meet/guest";
export const HOST_PATH = "/v1/meet/host";
/** As what those who meet are certified in a closed network. */
export const MEETING_ROLE = "peer";

const PEER_ID_BYTES = 16;
const KINDS = { 1: "to", 2: "from" } as const;

export interface MeetingHeader {
  readonly kind: "to" | "from";
  readonly peerId: string;
}

/** Undefined when the id is none. */
export function encodeMeetingHeader({ kind, peerId }: MeetingHeader): Uint8Array | undefined {
  const id = isPeerId(peerId) ? decodeBase32(peerId) : undefined;
  return id && encodeFrame(kind === "to" ? 1 : 2, id);
}

export function parseMeetingHeader(bytes: Uint8Array): Parsed<MeetingHeader> {
  const framed = parseFrame(bytes, PEER_ID_BYTES);
  if (framed.status !== "done") return framed;
  const { code, body } = framed.value;
  const kind = KINDS[code as keyof typeof KINDS];
  if (!kind) return bad("unknown kind");
  if (body.length !== PEER_ID_BYTES) return bad("malformed peer id");
  return done({ kind, peerId: encodeBase32(body) }, framed.length);
}
