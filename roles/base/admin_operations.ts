/** What the administrators' API of base offers, as data: `/v1/openapi.json` and the page at `/v1` are made from it. */

import type { ApiDescription, Operation } from "../../edge/openapi.ts";
import { countSchema, nameSchema, peerIdSchema } from "../../protocol/fields.ts";
import { auditEntrySchema, blockSchema } from "../../protocol/stored_records.ts";
import { ADMIN, ANY_PROBLEMS, audit, block, list, unblock } from "../admin_api/operations.ts";
import { blocksAnswer } from "../admin_api/schema.ts";
import { baseStatusAnswer, relaysAnswer, relayView, supernodesAnswer, supernodeView } from "./admin_schema.ts";

const status: Operation = {
  ...ADMIN,
  id: "status",
  method: "get",
  path: "/v1/status",
  summary: "How base fares",
  description: "How much there is of everything.",
  answer: { status: 200, schema: baseStatusAnswer, description: "As of now." },
  problems: ANY_PROBLEMS,
};

const lists: readonly Operation[] = [
  list("supernodes", "The supernodes that are registered", supernodesAnswer),
  list("relays", "The relays that are registered", relaysAnswer),
  list("blocks", "Who is neither heard nor shown", blocksAnswer),
];

export function baseAdminApi(version: string): ApiDescription {
  return {
    title: "Culvert base: administration",
    version,
    description: "What an administrator may see and do at a base.",
    operations: [status, ...lists, audit, block, unblock],
    schemas: [
      { name: "Status", schema: baseStatusAnswer },
      { name: "Supernode", schema: supernodeView },
      { name: "Relay", schema: relayView },
      { name: "Block", schema: blockSchema },
      { name: "AuditEntry", schema: auditEntrySchema },
      { name: "PeerId", schema: peerIdSchema, description: "base32(SHA-256(identity public key)[0..16])." },
      { name: "Name", schema: nameSchema, description: "Such as that of a region." },
      { name: "Count", schema: countSchema },
    ],
    bearer: "Authorization: Bearer <token> (RFC 6750): that of CULVERT_ADMIN_TOKEN, or of base's admin.json.",
  };
}
