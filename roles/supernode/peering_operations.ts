/**
 * What supernodes ask of each other, as data: each operation with the schemas its requests are checked with.
 * `openapi.json` and its page are made from it.
 */

import { z } from "zod";
import type { ApiDescription, NamedSchema, Operation } from "../../edge/openapi.ts";
import type { ProblemCode } from "../../edge/problem.ts";
import * as directory from "../../protocol/directory.ts";
import * as fields from "../../protocol/fields.ts";
import { doneSchema, nothingSchema, PEERING_PATHS, relayTokenSchema } from "./peering_schema.ts";

const PROBLEMS: readonly ProblemCode[] = [
  "bad_request",
  "unsigned",
  "malformed",
  "not_covered",
  "stale",
  "bad_digest",
  "bad_signature",
  "replayed",
  "blocked",
  "no_certificate",
  "bad_certificate",
  "misdirected",
  "wrong_type",
  "too_large",
  "rate_limited",
  "unavailable",
];
const healthSchema = z.object({ status: z.literal("ok") });

/** All are alike: a signed POST. */
function asked(
  id: keyof typeof PEERING_PATHS,
  summary: string,
  { takes, gives }: { readonly takes: z.ZodType; readonly gives: z.ZodType },
): Operation {
  return {
    id,
    method: "post",
    path: PEERING_PATHS[id],
    summary,
    description: "Only supernodes may ask; in a closed network they show their certificate in culvert-certificate.",
    signed: true,
    body: takes,
    answer: { status: 200, schema: gives, description: "The answer." },
    problems: PROBLEMS,
  };
}

const health: Operation = {
  id: "health",
  method: "get",
  path: "/healthz",
  summary: "Whether the supernode is up",
  description: "Answers while the event loop turns.",
  answer: { status: 200, schema: healthSchema, description: "It is." },
  problems: [],
};

const done = { gives: doneSchema };
const { exitPeerRequestSchema, exitPeerResponseSchema, exitSetupRequestSchema, exitSetupResponseSchema } = directory;
const { exitEndRequestSchema, exitNoticeSchema, sessionCheckSchema, sessionCheckResponseSchema } = directory;

export function peeringApi(version: string): ApiDescription {
  return {
    title: "Culvert supernode: peering",
    version,
    description: "What supernodes ask of each other about sessions between a client of one and an exit of another. " +
      "Peers come in by WebSocket on the same port: docs/control-protocol.md.",
    operations: [
      asked("exits", "Which exits there are for a client", {
        takes: exitPeerRequestSchema,
        gives: exitPeerResponseSchema,
      }),
      asked("setups", "Set an exit up for a client", { takes: exitSetupRequestSchema, gives: exitSetupResponseSchema }),
      asked("ends", "End a session at an exit", { takes: exitEndRequestSchema, ...done }),
      asked("notices", "Tell of an exit in trouble", { takes: exitNoticeSchema, ...done }),
      asked("checks", "Which sessions are known still", {
        takes: sessionCheckSchema,
        gives: sessionCheckResponseSchema,
      }),
      asked("tokens", "Ask for a token for a data link", { takes: nothingSchema, gives: relayTokenSchema }),
      health,
    ],
    schemas: namedSchemas(),
  };
}

function namedSchemas(): NamedSchema[] {
  return [
    { name: "ExitRequest", schema: exitPeerRequestSchema },
    { name: "ExitCandidate", schema: directory.exitCandidateSchema },
    { name: "ExitSetup", schema: exitSetupRequestSchema },
    { name: "ExitEnd", schema: exitEndRequestSchema },
    { name: "ExitNotice", schema: exitNoticeSchema },
    { name: "SessionCheck", schema: sessionCheckSchema },
    { name: "PeerId", schema: fields.peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Key", schema: fields.keySchema, description: "32 bytes in base64." },
    { name: "Signature", schema: fields.signatureSchema, description: "64 bytes in base64." },
    { name: "Certificate", schema: fields.certificateSchema, description: "Only in closed networks." },
    { name: "Name", schema: fields.nameSchema, description: "Such as that of a region." },
    { name: "Token", schema: fields.tokenSchema },
    { name: "Time", schema: fields.timeSchema, description: "Milliseconds since 1970." },
  ];
}
