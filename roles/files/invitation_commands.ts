/**
 * `culvert peer invitations` and `culvert peer revoke`: what tickets were given away, and taking them back. A peer that runs
 * knows within a moment, and lets go of whoever has come by one that is revoked.
 */

import { z } from "zod";
import { CulvertError } from "../../protocol/errors.ts";
import type { Invitation } from "../../protocol/peers/invitations.ts";
import { timeText } from "../node/words.ts";
import { defineRole, type Role } from "../role.ts";
import { type Column, tableLines } from "../table.ts";
import { InvitationStore } from "./invitation_store.ts";

const nothing = z.object({});

export const invitationsRole: Role<typeof nothing> = defineRole({
  name: "peer-invitations",
  summary: "The tickets that were given away: what for, until when, and how often they were used.",
  config: nothing,
  examples: ["culvert peer invitations"],
  longRunning: false,
  async run(_config, context) {
    const invitations = await (await InvitationStore.open(context)).list();
    if (context.json) {
      return context.print(JSON.stringify({ invitations: invitations.map(({ hash: _hash, ...rest }) => rest) }));
    }
    if (invitations.length === 0) return context.print("Nothing was given away yet: culvert peer share PATH");
    for (const line of tableLines(columns(context.clock.wallNow()), invitations)) context.print(line);
  },
});

function columns(nowMs: number): readonly Column<Invitation>[] {
  return [
    { title: "id", cell: ({ id }) => id },
    { title: "until", cell: ({ expiresAtMs }) => untilText(expiresAtMs, nowMs) },
    { title: "used", cell: ({ usedBy, maxPeers }) => `${usedBy.length} of ${maxPeers}`, align: "right" },
    { title: "may", cell: ({ mayUpload }) => mayUpload ? "read, put" : "read" },
    { title: "what", cell: ({ scope }) => `/${scope}`, canBeCut: true },
  ];
}

function untilText(expiresAtMs: number | undefined, nowMs: number): string {
  if (expiresAtMs === undefined) return "revoked";
  return nowMs >= expiresAtMs ? "expired" : timeText(expiresAtMs, nowMs);
}

const revokeConfig = z.object({
  id: z.string().min(1).describe("Which: its id, as culvert peer invitations shows it, or all.")
    .meta({ positional: true, placeholder: "id" }),
});

export const revokeRole: Role<typeof revokeConfig> = defineRole({
  name: "peer-revoke",
  summary: "Takes a ticket back: whoever has come by it is let go of.",
  config: revokeConfig,
  examples: ["culvert peer revoke 3k7q2mza", "culvert peer revoke all"],
  longRunning: false,
  async run({ id }, context) {
    const store = await InvitationStore.open(context);
    const ids = id === "all" ? (await store.list()).map((invitation) => invitation.id) : [id];
    const revoked: string[] = [];
    for (const each of ids) if (await store.revoke(each)) revoked.push(each);
    if (revoked.length === 0 && id !== "all") {
      throw new CulvertError(
        "not_found",
        `Cannot revoke ${JSON.stringify(id.slice(0, 20))}: there is no such invitation`,
      );
    }
    context.print(
      context.json
        ? JSON.stringify({ revoked })
        : revoked.length === 1
        ? `${revoked[0]} is revoked`
        : `${revoked.length} are revoked`,
    );
  },
});
