/**
 * What the administrators' API of a supernode offers, as data: each operation with the schemas of `admin_schema.ts`.
 * `/v1/openapi.json` and the page at `/v1` are made from it.
 */

import { z } from "zod";
import type { ApiDescription, NamedSchema, Operation } from "../../edge/openapi.ts";
import { sessionOfferSchema } from "../../protocol/control/commands.ts";
import { exitWishSchema, telemetrySchema } from "../../protocol/control/messages.ts";
import * as fields from "../../protocol/fields.ts";
import { auditEntrySchema, blockSchema } from "../../protocol/stored_records.ts";
import { ADMIN, ANY_PROBLEMS, audit, AUDITED, block, list, READ_PROBLEMS, unblock } from "../admin_api/operations.ts";
import { blocksAnswer, doneAnswer } from "../admin_api/schema.ts";
import * as admin from "./admin_schema.ts";

const status: Operation = {
  ...ADMIN,
  id: "status",
  method: "get",
  path: "/v1/status",
  summary: "How the supernode fares",
  description: "Who it is, and how much there is of everything.",
  answer: { status: 200, schema: admin.statusAnswer, description: "As of now." },
  problems: ANY_PROBLEMS,
};

const lists: readonly Operation[] = [
  list("streams", "The control streams that are open", admin.streamsAnswer),
  list("peers", "The peers that are connected, part of a session, or revoked", admin.peersAnswer),
  list("sessions", "The sessions that this supernode has a part in", admin.sessionsAnswer),
  list("links", "The links to other supernodes that are open", admin.linksAnswer),
  list("blocks", "Who is turned away", blocksAnswer),
];

const push: Operation = {
  ...ADMIN,
  id: "pushCommand",
  method: "post",
  path: "/v1/commands",
  summary: "Send a peer a command and wait for its answer",
  description: `Unless it is to be queued, the peer must be connected. ${AUDITED}`,
  body: admin.commandBody,
  answer: { status: 200, schema: admin.outcomeAnswer, description: "How it ended; ok says whether it was applied." },
  problems: [...READ_PROBLEMS, "not_found"],
};

const endSession: Operation = {
  ...ADMIN,
  id: "endSession",
  method: "delete",
  path: "/v1/sessions/{sessionId}",
  summary: "End a session",
  description: `Its client asks for another. ${AUDITED}`,
  params: z.object({ sessionId: fields.tokenSchema }),
  answer: { status: 200, schema: doneAnswer, description: "It is done." },
  problems: [...ANY_PROBLEMS, "not_found"],
};

const drain: Operation = {
  ...ADMIN,
  id: "drain",
  method: "post",
  path: "/v1/drain",
  summary: "Take no new work, and have the peers leave",
  description: AUDITED,
  body: admin.drainBody,
  answer: { status: 200, schema: admin.drainAnswer, description: "How many are to leave." },
  problems: READ_PROBLEMS,
};

const undrain: Operation = {
  ...ADMIN,
  id: "undrain",
  method: "delete",
  path: "/v1/drain",
  summary: "Take new work again",
  description: AUDITED,
  answer: { status: 200, schema: doneAnswer, description: "It is done." },
  problems: ANY_PROBLEMS,
};

const grantSession: Operation = {
  ...ADMIN,
  id: "grantSession",
  method: "post",
  path: "/v1/static-sessions",
  summary: "Grant a session to a stock WireGuard app",
  description: `For days, without anybody who renews it. ${AUDITED}`,
  body: admin.staticSessionBody,
  answer: { status: 200, schema: admin.offerAnswer, description: "What the app is to be told." },
  problems: [...READ_PROBLEMS, "not_found", "unavailable"],
};

export function adminApi(version: string): ApiDescription {
  return {
    title: "Culvert supernode: administration",
    version,
    description: "What an administrator may see and do at one supernode.",
    operations: [status, ...lists, audit, push, block, unblock, endSession, drain, undrain, grantSession],
    schemas: namedSchemas(),
    bearer: "Authorization: Bearer <token> (RFC 6750): that of CULVERT_ADMIN_TOKEN, or of the supernode's admin.json.",
  };
}

function namedSchemas(): NamedSchema[] {
  return [
    { name: "Status", schema: admin.statusAnswer },
    { name: "Stream", schema: admin.streamView },
    { name: "Peer", schema: admin.peerView },
    { name: "Session", schema: admin.sessionView },
    { name: "Block", schema: blockSchema },
    { name: "AuditEntry", schema: auditEntrySchema },
    { name: "CommandBody", schema: admin.commandBody },
    { name: "Order", schema: admin.orderSchema },
    { name: "Outcome", schema: admin.outcomeAnswer },
    { name: "StaticSessionBody", schema: admin.staticSessionBody },
    { name: "SessionOffer", schema: sessionOfferSchema },
    { name: "ExitWish", schema: exitWishSchema },
    { name: "Telemetry", schema: telemetrySchema, description: "As the peer tells it." },
    { name: "PeerKeys", schema: fields.peerKeysSchema },
    { name: "PeerId", schema: fields.peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Key", schema: fields.keySchema, description: "32 bytes in base64." },
    { name: "Name", schema: fields.nameSchema, description: "Such as that of a region." },
    { name: "Token", schema: fields.tokenSchema },
    { name: "Endpoint", schema: fields.endpointSchema },
    { name: "Count", schema: fields.countSchema },
  ];
}
