/**
 * What a tracker offers over HTTP, as data: each operation with the schemas its requests are checked with. `openapi.json` and
 * the page are made from it. The schemas are those of `protocol/tracker/messages.ts`.
 */

import { z } from "zod";
import { EVENT_STREAM_TYPE } from "../../protocol/event_stream.ts";
import * as fields from "../../protocol/fields.ts";
import { meetingPlaceSchema, peerCardSchema, peerLabelSchema } from "../../protocol/peers/card.ts";
import * as messages from "../../protocol/tracker/messages.ts";
import type { ApiDescription, NamedSchema, Operation } from "../openapi.ts";
import type { ProblemCode } from "../problem.ts";

/** What any request can meet with, what one with a token can besides, and what one that is signed. */
const ANY_PROBLEMS: readonly ProblemCode[] = ["misdirected", "blocked", "rate_limited", "internal", "unavailable"];
const TOKEN_PROBLEMS: readonly ProblemCode[] = ["unauthorized", "not_found", ...ANY_PROBLEMS];
const BODY_PROBLEMS: readonly ProblemCode[] = ["bad_request", "too_large"];
const SIGNED_PROBLEMS: readonly ProblemCode[] = [
  "unsigned",
  "malformed",
  "not_covered",
  "stale",
  "bad_digest",
  "bad_signature",
  "replayed",
  "wrong_type",
  ...BODY_PROBLEMS,
  ...ANY_PROBLEMS,
];
/** Of reading, where a tracker is closed. */
const READ_PROBLEMS: readonly ProblemCode[] = ["bad_request", "unauthorized", ...ANY_PROBLEMS];
const CLOSED = "Where a token is needed to join, only those who are listed may ask, by the token they were given.";

export const register = {
  id: "register",
  method: "post",
  path: "/api/peers/register",
  summary: "List a peer",
  description:
    "At the start, when the card changes, and when a heartbeat says that the peer is unknown. Takes the place of " +
    "what was known of it. The card must be the signer's own. Answers with a token for heartbeats and with some other peers.",
  signed: true,
  body: messages.registerSchema,
  answer: { status: 201, schema: messages.registerAnswerSchema, description: "It is listed until ttlMs have passed." },
  problems: [...SIGNED_PROBLEMS, "unauthorized", "wrong_peer", "bad_binding", "busy"],
} as const satisfies Operation;

export const heartbeat = {
  id: "heartbeat",
  method: "post",
  path: "/api/peers/heartbeat",
  summary: "Stay listed",
  description: "Every intervalMs, which may change from one answer to the next. A body is needed only when there is " +
    "something to say. After `unauthorized` or `not_found`, register again.",
  role: "peer",
  body: messages.heartbeatSchema,
  answer: { status: 200, schema: messages.heartbeatAnswerSchema, description: "When to come again." },
  problems: [...TOKEN_PROBLEMS, ...BODY_PROBLEMS],
} as const satisfies Operation;

export const unregister = {
  id: "unregister",
  method: "post",
  path: "/api/peers/unregister",
  summary: "Be listed no longer",
  description: "When a peer ends; one that just falls silent is forgotten after ttlMs. The token counts no more.",
  role: "peer",
  answer: { status: 200, schema: messages.doneSchema, description: "It is done." },
  problems: TOKEN_PROBLEMS,
} as const satisfies Operation;

export const report = {
  id: "report",
  method: "post",
  path: "/api/peers/report",
  summary: "Say how another peer has served this one",
  description:
    "Each reporter has one voice about a peer, however often it reports. Others see what the voices come to once " +
    "there are three. Anybody can make identities, so take it as a hint.",
  role: "peer",
  body: messages.reportSchema,
  answer: { status: 200, schema: messages.doneSchema, description: "It was noted." },
  problems: [...TOKEN_PROBLEMS, ...BODY_PROBLEMS],
} as const satisfies Operation;

export const list = {
  id: "list",
  method: "get",
  path: "/api/peers/list",
  summary: "List peers",
  description:
    "Those that match, in the order of their ids. Where there is `next`, ask for those after it; a page may be " +
    `short and yet have it. Check the signatures of cards. ${CLOSED}`,
  query: messages.peerQuerySchema,
  answer: { status: 200, schema: messages.peerPageSchema, description: "Peers; there may be none." },
  problems: READ_PROBLEMS,
} as const satisfies Operation;

export const find = {
  id: "find",
  method: "get",
  path: "/api/peers/{id}",
  summary: "Find one peer",
  description: `By its id. ${CLOSED}`,
  params: z.object({ id: fields.peerIdSchema }),
  answer: { status: 200, schema: messages.listedPeerSchema, description: "The peer." },
  problems: [...READ_PROBLEMS, "not_found"],
} as const satisfies Operation;

export const events = {
  id: "events",
  method: "get",
  path: "/api/peers/events",
  summary: "Hear of peers that come and go",
  description:
    "Server-sent events: `joined` and `changed` with the peer, `left` with its id, of those that match. Nothing of " +
    "before is told: list first, then again whenever the connection was lost. Who reads too slowly is cut off. There is a " +
    `comment at least every 15 seconds. ${CLOSED}`,
  query: messages.peerFilterSchema,
  answer: {
    status: 200,
    type: EVENT_STREAM_TYPE,
    schema: z.union([messages.peerThereSchema, messages.peerLeftSchema]),
    description: "Events, until one side ends it.",
  },
  problems: [...READ_PROBLEMS, "busy"],
} as const satisfies Operation;

export const status = {
  id: "status",
  method: "get",
  path: "/api/relay/status",
  summary: "How the tracker fares",
  description: "Answered from memory.",
  answer: { status: 200, schema: messages.relayStatusSchema, description: "It is up." },
  problems: ANY_PROBLEMS,
} as const satisfies Operation;

export function trackerApi(version: string): ApiDescription {
  return {
    title: "Culvert tracker",
    version,
    description: "Introduces peers to each other. What they then send each other does not come this way.",
    operations: [register, heartbeat, unregister, report, list, find, events, status],
    schemas: namedSchemas(),
    bearer: "Authorization: Bearer <token> (RFC 6750): the token from registering, good as long as the peer is listed.",
  };
}

function namedSchemas(): NamedSchema[] {
  return [
    { name: "Register", schema: messages.registerSchema },
    { name: "RegisterAnswer", schema: messages.registerAnswerSchema },
    { name: "Heartbeat", schema: messages.heartbeatSchema, description: "What is left out stays as it was." },
    { name: "HeartbeatAnswer", schema: messages.heartbeatAnswerSchema },
    { name: "Report", schema: messages.reportSchema },
    { name: "Outcome", schema: messages.outcomeSchema, description: "lied: what came was not what its hashes say." },
    { name: "Done", schema: messages.doneSchema },
    { name: "ListedPeer", schema: messages.listedPeerSchema },
    { name: "PeerPage", schema: messages.peerPageSchema },
    { name: "PeerThere", schema: messages.peerThereSchema, description: "Data of joined and changed." },
    { name: "PeerLeft", schema: messages.peerLeftSchema, description: "Data of left." },
    { name: "RelayStatus", schema: messages.relayStatusSchema },
    { name: "PeerCard", schema: peerCardSchema, description: "In a peer's own signed words." },
    { name: "MeetingPlace", schema: meetingPlaceSchema, description: "A relay where peers meet." },
    { name: "Label", schema: peerLabelSchema, description: "For people; nothing vouches for it." },
    { name: "PeerId", schema: fields.peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Key", schema: fields.keySchema, description: "32 bytes in base64." },
    { name: "Signature", schema: fields.signatureSchema, description: "64 bytes in base64." },
    { name: "Certificate", schema: fields.certificateSchema, description: "Only in closed networks." },
    { name: "Token", schema: fields.secretSchema, description: "Only the tracker reads it." },
    { name: "Interval", schema: messages.intervalSchema, description: "Milliseconds." },
    { name: "Name", schema: fields.nameSchema, description: "Such as that of a region." },
    { name: "Endpoint", schema: fields.endpointSchema, description: "An address that is no host's: observedAddress." },
    { name: "Address", schema: fields.ipSchema },
    { name: "Url", schema: fields.urlSchema },
    { name: "Version", schema: fields.versionSchema },
    { name: "Time", schema: fields.timeSchema, description: "Milliseconds since 1970." },
    { name: "Milliseconds", schema: fields.millisecondsSchema },
    { name: "Megabits", schema: fields.megabitsSchema, description: "Per second." },
    { name: "Share", schema: fields.shareSchema },
    { name: "Count", schema: fields.countSchema },
  ];
}
