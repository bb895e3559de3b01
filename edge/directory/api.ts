/**
 * What base offers over HTTP, as data: each operation with the schemas its requests are checked with. `openapi.json`
 * and the page are made from it. The schemas are those of `protocol/directory.ts`.
 */

import { z } from "zod";
import {
  exitRegionRequestSchema,
  exitRegionResponseSchema,
  heartbeatBatchSchema,
  heartbeatResponseSchema,
  relayCursorSchema,
  relayGatewaySchema,
  relayKindSchema,
  relayListSchema,
  relayQuerySchema,
  relayRecordSchema,
  relayRegistrationSchema,
  supernodeHeartbeatSchema,
  supernodeRecordSchema,
  supernodeRegistrationSchema,
  supernodeStatusSchema,
} from "../../protocol/directory.ts";
import * as fields from "../../protocol/fields.ts";
import type { ApiDescription, NamedSchema, Operation } from "../openapi.ts";
import type { ProblemCode } from "../problem.ts";

/** What any request can meet with, and what a signed one can besides. */
const ANY_PROBLEMS: readonly ProblemCode[] = ["misdirected", "rate_limited", "internal", "unavailable"];
const SIGNED_PROBLEMS: readonly ProblemCode[] = [
  "bad_request",
  "unsigned",
  "malformed",
  "not_covered",
  "stale",
  "bad_digest",
  "bad_signature",
  "replayed",
  "blocked",
  "wrong_type",
  "too_large",
  ...ANY_PROBLEMS,
];

export const healthSchema = z.object({ status: z.literal("ok"), version: z.string() });

export const registerSupernode = {
  id: "registerSupernode",
  method: "post",
  path: "/v1/supernodes",
  summary: "Register a supernode",
  description: "Once at the start, when something lasting changes, and when a heartbeat says that it is unknown. " +
    "Replaces an earlier registration of the same supernode. It counts until expiresAtMs, which heartbeats put off.",
  signed: true,
  body: supernodeRegistrationSchema,
  answer: { status: 201, schema: supernodeRecordSchema, description: "What is now known of it." },
  problems: [...SIGNED_PROBLEMS, "wrong_peer", "no_certificate", "bad_certificate"],
} as const satisfies Operation;

export const heartbeat = {
  id: "heartbeat",
  method: "post",
  path: "/v1/supernodes/heartbeat",
  summary: "Say that a supernode is alive, and how loaded",
  description:
    "Every 10 seconds; after 30 without one a supernode is no longer listed. Of several in one request the " +
    "last counts. Each must be the signer's own.",
  signed: true,
  body: heartbeatBatchSchema,
  answer: { status: 200, schema: heartbeatResponseSchema, description: "Who must register again, and when to call." },
  problems: [...SIGNED_PROBLEMS, "wrong_peer"],
} as const satisfies Operation;

export const requestExitRegion = {
  id: "requestExitRegion",
  method: "post",
  path: "/v1/exit-regions",
  summary: "Find supernodes with exits in a region, or others",
  description:
    'Live supernodes, best first: those that have exits and take on work, unless "which" says otherwise. Only ' +
    "registered supernodes may ask.",
  signed: true,
  body: exitRegionRequestSchema,
  answer: { status: 200, schema: exitRegionResponseSchema, description: "The candidates; there may be none." },
  problems: [...SIGNED_PROBLEMS, "not_registered"],
} as const satisfies Operation;

export const registerRelay = {
  id: "registerRelay",
  method: "post",
  path: "/v1/relays",
  summary: "Register a relay of any kind",
  description:
    "Once at the start and again before expiresAtMs. Replaces an earlier registration of the same relay. A " +
    "relay of circuits names the gateways that are linked to it: each needs the signature of its own sealing key, and in " +
    "a closed network a certificate of its own.",
  signed: true,
  body: relayRegistrationSchema,
  answer: { status: 201, schema: relayRecordSchema, description: "What is now known of it." },
  problems: [...SIGNED_PROBLEMS, "wrong_peer", "bad_binding", "no_certificate", "bad_certificate"],
} as const satisfies Operation;

export const listRelays = {
  id: "listRelays",
  method: "get",
  path: "/v1/relays",
  summary: "List relays with their public keys",
  description:
    "Anyone may ask, and is told how it stood within the last second, the least loaded first. Where there are more than " +
    "count (64 unless given), or more gateways with them than a page holds, ask for those after `next`. Check the " +
    "signature of the sealing key, and in a closed network the certificate; of gateways too.",
  query: relayQuerySchema,
  answer: { status: 200, schema: relayListSchema, description: "Live relays; there may be none." },
  problems: ["bad_request", ...ANY_PROBLEMS],
} as const satisfies Operation;

export const health = {
  id: "health",
  method: "get",
  path: "/healthz",
  summary: "Whether base is up",
  description: "Answers while the event loop turns; does not ask the store.",
  answer: { status: 200, schema: healthSchema, description: "It is." },
  problems: [],
} as const satisfies Operation;

export function directoryApi(version: string): ApiDescription {
  return {
    title: "Culvert directory",
    version,
    description:
      "Which supernodes and relays there are, where, and how loaded. Records end on their own unless renewed.",
    operations: [registerSupernode, heartbeat, requestExitRegion, registerRelay, listRelays, health],
    schemas: namedSchemas(),
  };
}

function namedSchemas(): NamedSchema[] {
  return [
    { name: "SupernodeRegistration", schema: supernodeRegistrationSchema },
    { name: "SupernodeRecord", schema: supernodeRecordSchema, description: "A registration and its times." },
    { name: "SupernodeStatus", schema: supernodeStatusSchema, description: "What changes all the time." },
    { name: "SupernodeHeartbeat", schema: supernodeHeartbeatSchema },
    { name: "HeartbeatBatch", schema: heartbeatBatchSchema },
    { name: "HeartbeatResponse", schema: heartbeatResponseSchema },
    { name: "ExitRegionRequest", schema: exitRegionRequestSchema, description: "Without a region: anywhere." },
    { name: "ExitRegionResponse", schema: exitRegionResponseSchema },
    { name: "RelayRegistration", schema: relayRegistrationSchema },
    { name: "RelayGateway", schema: relayGatewaySchema, description: "Its keys; nobody is told its address." },
    { name: "RelayRecord", schema: relayRecordSchema, description: "A registration and its times." },
    { name: "RelayList", schema: relayListSchema },
    { name: "RelayKind", schema: relayKindSchema },
    { name: "RelayCursor", schema: relayCursorSchema, description: "How far a list has come." },
    { name: "Health", schema: healthSchema },
    { name: "PeerId", schema: fields.peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
    { name: "Key", schema: fields.keySchema, description: "32 bytes in base64." },
    { name: "Signature", schema: fields.signatureSchema, description: "64 bytes in base64." },
    { name: "Certificate", schema: fields.certificateSchema, description: "Only in closed networks." },
    { name: "Name", schema: fields.nameSchema, description: "Such as that of a region." },
    { name: "Url", schema: fields.urlSchema },
    { name: "Version", schema: fields.versionSchema },
    { name: "Time", schema: fields.timeSchema, description: "Milliseconds since 1970." },
    { name: "Milliseconds", schema: fields.millisecondsSchema },
    { name: "Megabits", schema: fields.megabitsSchema, description: "Per second." },
    { name: "Share", schema: fields.shareSchema },
    { name: "Count", schema: fields.countSchema },
  ];
}
