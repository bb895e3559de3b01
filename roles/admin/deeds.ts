/**
 * What `culvert admin` has a supernode do, and what it says of it afterwards.
 */

import { z } from "zod";
import { COMMAND_KINDS, type CommandKind } from "../../protocol/control/commands.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { peerIdSchema, tokenSchema } from "../../protocol/fields.ts";
import { ConfigError } from "../config.ts";
import { quoteText } from "../escape.ts";
import { blockedAnswer, doneAnswer } from "../admin_api/schema.ts";
import { drainAnswer, outcomeAnswer } from "../supernode/admin_schema.ts";
import { spanText } from "../table.ts";
import type { AdminConnection } from "./connection.ts";

export const DEEDS = ["push", "revoke", "unrevoke", "block", "unblock", "end", "drain", "undrain"] as const;
export type DeedName = typeof DEEDS[number];

export interface DeedSettings {
  /** A peer, or a session. */
  readonly subject?: string | undefined;
  readonly kind?: CommandKind | undefined;
  readonly payload?: string | undefined;
  readonly session?: string | undefined;
  readonly reason: string;
  readonly timeout: number;
  readonly within: number;
  readonly queue: boolean;
}

/** What came of it. */
export interface Deed {
  readonly json: object;
  readonly line: string;
}

export async function doDeed(name: DeedName, settings: DeedSettings, connection: AdminConnection): Promise<Deed> {
  switch (name) {
    case "push":
      return await push(settings, connection);
    case "revoke":
      return await block("peer", settings, connection);
    case "block":
      return await block("supernode", settings, connection);
    case "unrevoke":
      return await unblock("peer", settings, connection);
    case "unblock":
      return await unblock("supernode", settings, connection);
    case "end":
      return await endSession(settings, connection);
    case "drain":
      return await drain(settings, connection);
    case "undrain": {
      const json = await connection.call({ method: "DELETE", path: "/v1/drain", answer: doneAnswer });
      return { json, line: "Peers are let in again." };
    }
  }
}

/** What a command says when nothing else is given. */
const DEFAULT_PAYLOADS: Partial<Record<CommandKind, object>> = { DISCONNECT: { reason: "admin" } };

async function push(settings: DeedSettings, connection: AdminConnection): Promise<Deed> {
  const { kind, session, timeout, queue } = settings;
  const peerId = peerOf("push", settings);
  if (!kind) throw new ConfigError("run admin push", [`<kind> must be given: ${COMMAND_KINDS.join(", ")}`]);
  const payload = settings.payload === undefined ? DEFAULT_PAYLOADS[kind] : parsePayload(settings.payload);
  if (!payload) throw new ConfigError("run admin push", [`<json> must be given with ${kind}`]);
  const command = { kind, payload, timeoutMs: timeout, ...(session !== undefined && { sessionId: session }) };
  const json = await connection.call({
    method: "POST",
    path: "/v1/commands",
    body: { peerId, command, queue },
    answer: outcomeAnswer,
  });
  if (json.ok) return { json, line: `${peerId} has answered: ${json.result?.status}.` };
  const { reason, result } = json;
  const told = [result?.code, result?.remark].filter(Boolean).map((text) => `, ${text}`).join("");
  throw new CulvertError("command_failed", `Cannot have ${peerId} do ${kind}: ${reason}${told}`);
}

function parsePayload(text: string): object {
  const { data } = z.record(z.string(), z.unknown()).safeParse(tryJson(text));
  if (data) return data;
  throw new ConfigError("run admin push", ["<json> must be an object in JSON, as docs/admin.md shows"]);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function block(kind: "peer" | "supernode", settings: DeedSettings, connection: AdminConnection): Promise<Deed> {
  const peerId = peerOf(kind === "peer" ? "revoke" : "block", settings);
  const { reason } = settings;
  const body = { kind, peerId, reason };
  const json = await connection.call({ method: "POST", path: "/v1/blocks", body, answer: blockedAnswer });
  const now = json.wasConnected ? "is thrown out" : "is not connected here at present";
  return {
    json,
    line: `${peerId} ${now}, and is not let in until "culvert admin ${kind === "peer" ? "unrevoke" : "unblock"}".`,
  };
}

async function unblock(kind: "peer" | "supernode", settings: DeedSettings, connection: AdminConnection): Promise<Deed> {
  const peerId = peerOf(kind === "peer" ? "unrevoke" : "unblock", settings);
  const json = await connection.call({ method: "DELETE", path: `/v1/blocks/${kind}/${peerId}`, answer: doneAnswer });
  return { json, line: `${peerId} may come again.` };
}

async function endSession({ subject }: DeedSettings, connection: AdminConnection): Promise<Deed> {
  if (!tokenSchema.safeParse(subject).success) {
    const given = subject === undefined ? "nothing" : quoteText(subject, 40);
    throw new ConfigError("run admin end", [`<subject> must be a session's id, as "sessions" shows it, got ${given}`]);
  }
  const json = await connection.call({ method: "DELETE", path: `/v1/sessions/${subject}`, answer: doneAnswer });
  return { json, line: `The session ${subject} has ended.` };
}

async function drain({ within }: DeedSettings, connection: AdminConnection): Promise<Deed> {
  const body = { leaveWithinMs: within };
  const json = await connection.call({ method: "POST", path: "/v1/drain", body, answer: drainAnswer });
  return {
    json,
    line:
      `Nobody is let in any more, and ${
        json.streams === 1 ? "one peer is" : `${json.streams} peers are`
      } told to leave within ${spanText(within)}; ` +
      `"culvert admin status --watch" shows them go.`,
  };
}

/** The peer that a deed is about. */
function peerOf(deed: DeedName, { subject }: DeedSettings): string {
  if (peerIdSchema.safeParse(subject).success) return subject!;
  const given = subject === undefined ? "nothing" : quoteText(subject, 40);
  throw new ConfigError(`run admin ${deed}`, [
    `<subject> must be a peer id, 26 characters as "keys" shows them, got ${given}`,
  ]);
}
