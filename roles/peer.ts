/**
 * `culvert peer`: shares a folder with other peers, and shows what they share.
 *
 *   own programs ─▶ 127.0.0.1 ─┐
 *                              ├▶ file server ─▶ folder
 *   other peers ─ sealed ──────┘      └ what others share: /peers/ID/…
 *
 * Nobody but this machine's own programs and peers that were let in reaches the file server. `culvert peer get`, `ls`, `search`,
 * `share`, `open` and `status` go with it; docs/files.md has it all.
 */

import { peerConfig } from "./files/peer_settings.ts";
import { runPeer } from "./files/run_peer.ts";
import { defineRole, type Role, runRole } from "./role.ts";

export const role: Role<typeof peerConfig> = defineRole({
  name: "peer",
  summary: "Shares a folder with other peers, sealed end to end, and shows what they share.",
  config: peerConfig,
  examples: [
    "culvert peer ~/Shared --tracker https://tracker.example/",
    "culvert peer ~/Shared --allow-file friends.txt --upload",
    "culvert peer ~/Shared --open --guest-rate 2MiB --read-only",
    "culvert peer share films/holiday.mp4 --qr",
    "culvert peer get CULVERT:…",
    "culvert peer status",
  ],
  run: (config, context) => runPeer(config, context),
});

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
