/**
 * What the APIs of all administrators have in common, as operations: lists, the audit log, blocks.
 */

import type { z } from "zod";
import type { Operation } from "../../edge/openapi.ts";
import type { ProblemCode } from "../../edge/problem.ts";
import * as admin from "../supernode/admin_schema.ts";

export const ANY_PROBLEMS: readonly ProblemCode[] = ["unauthorized", "cross_site", "rate_limited", "internal"];
export const READ_PROBLEMS: readonly ProblemCode[] = ["bad_request", ...ANY_PROBLEMS];
export const ADMIN = { role: "admin" } as const;
const NEXT = "A page of them; pass next as after.";
export const AUDITED = "It is in the audit log, also when it came to nothing.";

/** One of the lists that are alike. */
export function list(id: string, summary: string, schema: z.ZodType): Operation {
  return {
    ...ADMIN,
    id,
    method: "get",
    path: `/v1/${id}`,
    summary,
    description: "In the order of their ids, so that a page finds its place again whatever has come and gone.",
    query: admin.listQuery,
    answer: { status: 200, schema, description: NEXT },
    problems: READ_PROBLEMS,
  };
}

export const audit: Operation = {
  ...ADMIN,
  id: "audit",
  method: "get",
  path: "/v1/audit",
  summary: "What administrators did",
  description: "The newest first.",
  query: admin.auditQuery,
  answer: { status: 200, schema: admin.auditAnswer, description: "A page of it; pass next as before." },
  problems: READ_PROBLEMS,
};

export const block: Operation = {
  ...ADMIN,
  id: "block",
  method: "post",
  path: "/v1/blocks",
  summary: "Turn a peer or a supernode away",
  description: `At once, and until it is lifted. ${AUDITED}`,
  body: admin.blockBody,
  answer: { status: 200, schema: admin.blockedAnswer, description: "It is done." },
  problems: READ_PROBLEMS,
};

export const unblock: Operation = {
  ...ADMIN,
  id: "unblock",
  method: "delete",
  path: "/v1/blocks/{kind}/{peerId}",
  summary: "Let it in again",
  description: AUDITED,
  params: admin.blockBody.pick({ kind: true, peerId: true }),
  answer: { status: 200, schema: admin.doneAnswer, description: "It is done." },
  problems: [...READ_PROBLEMS, "not_found"],
};
