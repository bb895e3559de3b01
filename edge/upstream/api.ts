/** What an upstream offers over HTTP, as data. `openapi.json` and its page are made from it; `docs/fragments.md` has the bytes. */

import { z } from "zod";
import type { ApiDescription, Operation } from "../openapi.ts";
import type { ProblemCode } from "../problem.ts";
import { relayHealth, TAKEN_PROBLEMS, TOKEN_OF_RELAY } from "../relay_api.ts";

/** Where clients send their fragments. */
export const FRAGMENTS_PATH = "/v1/fragments";

const messageSchema = z.file().describe("One message of a client: kind, central's id, alias and fragments.");
const PROBLEMS: readonly ProblemCode[] = [...TAKEN_PROBLEMS, "internal"];

const connect: Operation = {
  id: "connect",
  method: "get",
  path: FRAGMENTS_PATH,
  summary: "Send fragments over a WebSocket",
  description:
    "Each binary message is a client's, and is passed on to the central that it names. What cannot be passed " +
    "on is told in a message as well.",
  role: "client",
  answer: { status: 101, description: "The WebSocket is open." },
  problems: [...PROBLEMS, "upgrade_required"],
};

const send: Operation = {
  id: "send",
  method: "post",
  path: FRAGMENTS_PATH,
  summary: "Send one message of fragments",
  description: "For whoever cannot have a WebSocket.",
  role: "client",
  body: messageSchema,
  bodyType: "application/octet-stream",
  answer: { status: 202, description: "It was passed on." },
  problems: [
    ...PROBLEMS,
    "bad_request",
    "too_large",
    "no_such_central",
    "refused_by_central",
    "central_down",
    "too_much",
  ],
};

export function upstreamApi(version: string): ApiDescription {
  return {
    title: "Culvert upstream",
    version,
    description: "Passes sealed fragments of clients on to centrals, and can read none of them.",
    operations: [connect, send, relayHealth],
    schemas: [],
    bearer: TOKEN_OF_RELAY,
  };
}
