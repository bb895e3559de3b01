/**
 * `culvert peer status`: what the peer that runs here shares, where it is reached, and who is there.
 */

import { z } from "zod";
import { escapeText } from "../escape.ts";
import { defineRole, type Role } from "../role.ts";
import { bytesText } from "../table.ts";
import { askPeer, type PeerReport } from "./peer_control.ts";

const nothing = z.object({});

export const statusRole: Role<typeof nothing> = defineRole({
  name: "peer-status",
  summary: "What the peer of this machine shares, where it is reached, and who is there.",
  config: nothing,
  examples: ["culvert peer status", "culvert peer status --json"],
  longRunning: false,
  async run(_config, context) {
    const report = await askPeer(context);
    if (context.json) return context.print(JSON.stringify(report));
    for (const line of statusLines(report)) context.print(line);
  },
});

/** For people; one fact a line. */
export function statusLines(report: PeerReport): string[] {
  const { card, folder, url, index, trackers, relays, guests, guestCount, sentBytes } = report;
  const rows: [string, string][] = [
    ["peer", `${card.peerId} (${card.label})`],
    ["shares", `${folder}: ${index.files} files, ${bytesText(index.bytes)}${pendingText(index.pending)}`],
    ["open", url],
    ["reached at", card.addresses.join(" ") || "no address of its own"],
    ...relays.map(({ url, isUp }): [string, string] => ["relay", isUp ? url : `${url}, which does not answer`]),
    ...trackers.map(({ url, isListed, problem }): [string, string] => [
      "tracker",
      isListed ? url : `${url}: not listed${problem === undefined ? "" : `, ${problem}`}`,
    ]),
    ["sent", bytesText(sentBytes)],
    ["guests", guestCount === 0 ? "nobody at present" : String(guestCount)],
    ...guests.map(({ peerId, way, scope, mayUpload }): [string, string] => [
      "",
      `${peerId} ${way}, /${scope}${mayUpload ? ", may put files there" : ""}`,
    ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => escapeText(`${name.padEnd(width)}  ${value}`).trimEnd());
}

function pendingText(pending: number): string {
  return pending === 0 ? "" : `, ${pending} more to be read`;
}
