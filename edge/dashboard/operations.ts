/**
 * What a dashboard offers to its page, and to any program, as data: each operation with the schemas its requests are checked with.
 * The document and the page at `/api` are made from it.
 */

import { z } from "zod";
import { EVENT_STREAM_TYPE } from "../../protocol/event_stream.ts";
import { peerIdSchema, remarkSchema, timeSchema, tokenSchema } from "../../protocol/fields.ts";
import type { ApiDescription, NamedSchema, Operation } from "../openapi.ts";
import type { ProblemCode } from "../problem.ts";
import { API_PREFIX } from "./api.ts";
import * as messages from "./messages.ts";

const ROLE = "administrator";
/** What any request can meet with, and what one with a session can besides. */
const ANY_PROBLEMS: readonly ProblemCode[] = ["misdirected", "cross_site", "rate_limited", "internal"];
const SESSION_PROBLEMS: readonly ProblemCode[] = [...ANY_PROBLEMS, "unauthorized", "token_expired"];
const BODY_PROBLEMS: readonly ProblemCode[] = ["bad_request", "wrong_type", "too_large"];
const ROW_PROBLEMS: readonly ProblemCode[] = [...SESSION_PROBLEMS, "bad_request", "unavailable"];

export const logIn = {
  id: "logIn",
  method: "post",
  path: `${API_PREFIX}/logins`,
  summary: "Log in",
  description: "With the administrators' token. So many wrong ones are looked at and no more.",
  body: messages.loginBody,
  answer: { status: 201, schema: messages.loginSchema, description: "A session for 12 hours." },
  problems: [...ANY_PROBLEMS, ...BODY_PROBLEMS, "login_refused"],
} as const satisfies Operation;

export const logOut = {
  id: "logOut",
  method: "post",
  path: `${API_PREFIX}/logins/end`,
  summary: "Log out",
  description: "The session it is asked with is over at once, and so are its events.",
  role: ROLE,
  answer: { status: 200, schema: messages.doneSchema, description: "It is over." },
  problems: SESSION_PROBLEMS,
} as const satisfies Operation;

export const watch = {
  id: "watch",
  method: "get",
  path: `${API_PREFIX}/watch`,
  summary: "Watch the network",
  description:
    "Server-sent events. `view`, `history` and `log` come first and tell all there is; after that `view` when something " +
    "has changed, at most once a second, `point` every two seconds, and `log` with new lines. `trouble` says that what was told " +
    "is old, until the next `view`; `bye` that the server stops. Who reads too slowly misses some and is told all there is again. " +
    "There is a comment at least every 15 seconds, and an end when the session is over.",
  role: ROLE,
  answer: {
    status: 200,
    type: EVENT_STREAM_TYPE,
    schema: z.union(Object.values(messages.eventSchemas)),
    description: "Events, until one side ends it.",
  },
  problems: [...SESSION_PROBLEMS, "wrong_method", "busy"],
} as const satisfies Operation;

export const listPeers = {
  id: "listPeers",
  method: "get",
  path: `${API_PREFIX}/peers`,
  summary: "List peers and supernodes",
  description:
    "Those in which every word of `search` is found: in ids, names, roles, regions, states. `sort` is a column, with a " +
    "hyphen before it for the largest first.",
  role: ROLE,
  query: messages.peerQuery,
  answer: { status: 200, schema: messages.peerPageSchema, description: "A page of them." },
  problems: ROW_PROBLEMS,
} as const satisfies Operation;

export const listSessions = {
  id: "listSessions",
  method: "get",
  path: `${API_PREFIX}/sessions`,
  summary: "List sessions",
  description:
    "Those in which every word of `search` is found: in ids, names of client and exit, region, state, what they carry.",
  role: ROLE,
  query: messages.sessionQuery,
  answer: { status: 200, schema: messages.sessionPageSchema, description: "A page of them." },
  problems: ROW_PROBLEMS,
} as const satisfies Operation;

export const act = {
  id: "act",
  method: "post",
  path: `${API_PREFIX}/deeds`,
  summary: "Do something",
  description:
    "What can be done is in the view, as `deeds`. It is done when the answer comes, and whoever watches sees it at once.",
  role: ROLE,
  body: messages.deedSchema,
  answer: { status: 200, schema: messages.deedAnswerSchema, description: "It was done." },
  problems: [...SESSION_PROBLEMS, ...BODY_PROBLEMS, "not_found", "conflict", "unavailable", "busy"],
} as const satisfies Operation;

/** Where they are described, beside whatever else is on the port. */
export const DESCRIPTION_PATHS = { page: "/api", document: "/api/openapi.json", style: "/api/style.css" } as const;

export function dashboardOperations(): readonly Operation[] {
  return [logIn, logOut, watch, listPeers, listSessions, act];
}

export function dashboardApi(version: string): ApiDescription {
  return {
    title: "Culvert dashboard",
    version,
    description: "What the dashboard's page asks for. Requests must come from a page of the same server, or from none.",
    operations: dashboardOperations(),
    schemas: namedSchemas(),
    bearer: "Authorization: Bearer <session>: that of a login, good for 12 hours or until the token is another.",
  };
}

function namedSchemas(): NamedSchema[] {
  const { view, history, point, log, trouble, bye } = messages.eventSchemas;
  return [
    { name: "LogIn", schema: messages.loginBody },
    { name: "Login", schema: messages.loginSchema },
    { name: "Done", schema: messages.doneSchema },
    { name: "Deed", schema: messages.deedSchema },
    { name: "DeedAnswer", schema: messages.deedAnswerSchema, description: "In words for people." },
    { name: "ViewEvent", schema: view, description: "Data of view." },
    { name: "HistoryEvent", schema: history, description: "Data of history." },
    { name: "PointEvent", schema: point, description: "Data of point." },
    { name: "LogEvent", schema: log, description: "Data of log." },
    { name: "TroubleEvent", schema: trouble, description: "Data of trouble." },
    { name: "ByeEvent", schema: bye, description: "Data of bye." },
    { name: "NetworkView", schema: messages.viewSchema, description: "The network as it is drawn." },
    { name: "Node", schema: messages.nodeSchema, description: "A place on the map." },
    { name: "Group", schema: messages.groupSchema, description: "Peers that are too many to be drawn one by one." },
    { name: "Route", schema: messages.routeSchema, description: "A way that sessions take." },
    { name: "Part", schema: messages.partSchema, description: "What can be killed and started." },
    { name: "Blocked", schema: messages.blockedSchema, description: "Whoever was shut out, here or not." },
    { name: "Totals", schema: messages.totalsSchema },
    { name: "Point", schema: messages.pointSchema, description: "Of the charts; what is not known is null." },
    { name: "LogLine", schema: messages.lineSchema },
    { name: "PeerPage", schema: messages.peerPageSchema },
    { name: "PeerRow", schema: messages.peerRowSchema },
    { name: "SessionPage", schema: messages.sessionPageSchema },
    { name: "SessionRow", schema: messages.sessionRowSchema },
    { name: "PeerId", schema: peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Token", schema: tokenSchema },
    { name: "Remark", schema: remarkSchema, description: "One line for people." },
    { name: "Time", schema: timeSchema, description: "Milliseconds since 1970." },
  ];
}
