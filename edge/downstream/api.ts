/** What a downstream offers over HTTP, as data. `openapi.json` and its page are made from it; `docs/fragments.md` has the bytes. */

import { z } from "zod";
import type { ApiDescription, Operation } from "../openapi.ts";
import type { ProblemCode } from "../problem.ts";
import { relayHealth, TAKEN_PROBLEMS, TOKEN_OF_RELAY } from "../relay_api.ts";

/** Where clients listen, and where centrals post. */
export const MAILBOX_PATH = "/v1/mailbox";
export const HOP_PATH = "/v1/hop";

const pollSchema = z.file().describe("A claim of a mailbox, and how many messages of it have come.");
const messagesSchema = z.file().describe("The messages that wait, each behind its length.");
const PROBLEMS: readonly ProblemCode[] = [...TAKEN_PROBLEMS, "internal"];

const listen: Operation = {
  id: "listen",
  method: "get",
  path: MAILBOX_PATH,
  summary: "Hear what comes to a mailbox over a WebSocket",
  description: "The first binary message is the claim of the mailbox; after it comes what central posts.",
  role: "client",
  answer: { status: 101, description: "The WebSocket is open." },
  problems: [...PROBLEMS, "upgrade_required"],
};

const poll: Operation = {
  id: "poll",
  method: "post",
  path: MAILBOX_PATH,
  summary: "Ask what has come to a mailbox",
  description: "For whoever cannot have a WebSocket. Waits some seconds for something to come.",
  role: "client",
  body: pollSchema,
  bodyType: "application/octet-stream",
  answer: {
    status: 200,
    type: "application/octet-stream",
    schema: messagesSchema,
    description: "What has come.",
  },
  others: [{ status: 204, description: "Nothing has: ask again." }],
  problems: [...PROBLEMS, "bad_request", "too_large"],
};

const hop: Operation = {
  id: "hop",
  method: "get",
  path: HOP_PATH,
  summary: "Post to mailboxes over a WebSocket",
  description: "For centrals of the directory, which show who they are in their first message.",
  answer: { status: 101, description: "The WebSocket is open." },
  problems: ["rate_limited", "busy", "draining", "internal", "upgrade_required"],
};

export function downstreamApi(version: string): ApiDescription {
  return {
    title: "Culvert downstream",
    version,
    description: "Keeps sealed fragments for clients until they fetch them, and can read none of them.",
    operations: [listen, poll, hop, relayHealth],
    schemas: [],
    bearer: TOKEN_OF_RELAY,
  };
}
