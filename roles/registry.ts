/**
 * Every role `culvert` knows, in the order and groups they are listed. A role's file is loaded only when it is needed,
 * so that starting one does not load them all; `registry_test.ts` sees to it that names and summaries agree.
 */

import type { Role } from "./role.ts";

export interface RoleEntry {
  readonly name: string;
  readonly summary: string;
  /** The heading it is listed under. */
  readonly group: string;
  load(): Promise<Role>;
}

export const registry: readonly RoleEntry[] = [
  {
    name: "up",
    summary: "A network on this machine, to try: a small one, or that of a plan.",
    group: "To begin with",
    load: async () => (await import("./up.ts")).role,
  },
  {
    name: "proxy",
    summary: "A local SOCKS5, SOCKS4a and HTTP proxy whose traffic leaves by a path.",
    group: "Traffic",
    load: async () => (await import("./proxy.ts")).role,
  },
  {
    name: "proxy-report",
    summary: "Which of its paths a proxy with --combine split has found better, and in what.",
    group: "Traffic",
    load: async () => (await import("./split/report_command.ts")).role,
  },
  {
    name: "tunnel",
    summary: "The far end of tunnels: what near ends dial is dialled here.",
    group: "Traffic",
    load: async () => (await import("./tunnel.ts")).role,
  },
  {
    name: "wireguard",
    summary: "WireGuard tunnels from wg-quick files, by the kernel's device or our own.",
    group: "Traffic",
    load: async () => (await import("./wireguard.ts")).role,
  },
  {
    name: "base",
    summary: "The directory of supernodes and relays: who is online, where, how loaded.",
    group: "Control plane",
    load: async () => (await import("./base.ts")).role,
  },
  {
    name: "supernode",
    summary: "Keeps the peers of a region, finds them exits and relays what they seal.",
    group: "Control plane",
    load: async () => (await import("./supernode.ts")).role,
  },
  {
    name: "exit",
    summary: "Lets clients of the network out to the internet here, under a policy.",
    group: "Control plane",
    load: async () => (await import("./exit.ts")).role,
  },
  {
    name: "client",
    summary: "This machine's traffic leaves through an exit: as a local proxy, or all of it.",
    group: "Control plane",
    load: async () => (await import("./client.ts")).role,
  },
  {
    name: "admin",
    summary: "Sees and steers a running supernode or base: streams, sessions, peers, commands, blocks.",
    group: "Control plane",
    load: async () => (await import("./admin.ts")).role,
  },
  {
    name: "upstream",
    summary: "Takes fragments from clients and passes them on to central; reads none of them.",
    group: "Fragments and circuits",
    load: async () => (await import("./upstream.ts")).role,
  },
  {
    name: "central",
    summary: "Puts together what clients send in fragments, and lets it out under a policy.",
    group: "Fragments and circuits",
    load: async () => (await import("./central.ts")).role,
  },
  {
    name: "downstream",
    summary: "Keeps what central posts for a client until that comes for it; reads none of it.",
    group: "Fragments and circuits",
    load: async () => (await import("./downstream.ts")).role,
  },
  {
    name: "relay",
    summary: "Passes circuits on between clients, other relays and gateways, reading none.",
    group: "Fragments and circuits",
    load: async () => (await import("./relay.ts")).role,
  },
  {
    name: "gateway",
    summary: "Lets circuits out to the internet under a policy, and is reached through relays only.",
    group: "Fragments and circuits",
    load: async () => (await import("./gateway.ts")).role,
  },
  {
    name: "kcp-server",
    summary: "The far end of KCP over UDP or raw packets: what clients dial is dialled here.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/server.ts")).role,
  },
  {
    name: "kcp-client",
    summary: "A local proxy and forwarded ports whose traffic leaves by KCP servers.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/client.ts")).role,
  },
  {
    name: "kcp-invite",
    summary: "Lets a client into the KCP and vtcp servers of this machine: prints its URL.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/invite.ts")).inviteRole,
  },
  {
    name: "kcp-revoke",
    summary: "Lets a client in no longer; its sessions end at once.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/invite.ts")).revokeRole,
  },
  {
    name: "kcp-clients",
    summary: "Who was invited into the KCP and vtcp servers of this machine.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/invite.ts")).clientsRole,
  },
  {
    name: "kcp-secret",
    summary: "Makes keys: of a server, a client's secret, or a passphrase for other dialects.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/tools.ts")).secretRole,
  },
  {
    name: "kcp-ping",
    summary: "Whether a server answers, and how long both ways take.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/tools.ts")).pingRole,
  },
  {
    name: "kcp-dump",
    summary: "Shows the packets of a port, and with a key what is in them.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/tools.ts")).dumpRole,
  },
  {
    name: "kcp-doctor",
    summary: "Says in words what keeps a client from its server, and what to do about it.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/tools.ts")).doctorRole,
  },
  {
    name: "kcp-import",
    summary: "Makes a configuration file of one of paqet or of GFW-knocker.",
    group: "Hostile networks",
    load: async () => (await import("./kcp/import.ts")).importRole,
  },
  {
    name: "vtcp-server",
    summary: "The far end of QUIC in packets of no TCP connection: dials what clients dial.",
    group: "Hostile networks",
    load: async () => (await import("./vtcp/server.ts")).role,
  },
  {
    name: "vtcp-client",
    summary: "A local proxy and forwarded ports whose traffic leaves by vtcp servers.",
    group: "Hostile networks",
    load: async () => (await import("./vtcp/client.ts")).role,
  },
  {
    name: "relay-packets",
    summary: "Passes UDP packets on by tickets that they carry, and remembers nothing.",
    group: "Hostile networks",
    load: async () => (await import("./relay_packets.ts")).role,
  },
  {
    name: "orchestrator",
    summary: "Lets clients out through machines of others, and settles what that costs.",
    group: "Shared bandwidth",
    load: async () => (await import("./orchestrator.ts")).role,
  },
  {
    name: "orchestrator-invite",
    summary: "Makes an invitation to an orchestrator; on Deno KV, while that does not run.",
    group: "Shared bandwidth",
    load: async () => (await import("./orchestrator/invite.ts")).inviteRole,
  },
  {
    name: "node",
    summary: "Shares this machine's connection through orchestrators, within limits, for credit.",
    group: "Shared bandwidth",
    load: async () => (await import("./node.ts")).role,
  },
  {
    name: "node-status",
    summary: "What the node of this machine shares, has shared and has earned.",
    group: "Shared bandwidth",
    load: async () => (await import("./node/commands.ts")).statusRole,
  },
  {
    name: "node-pause",
    summary: "Shares nothing from now on, for a while or until node-resume, restarts included.",
    group: "Shared bandwidth",
    load: async () => (await import("./node/commands.ts")).pauseRole,
  },
  {
    name: "node-resume",
    summary: "Takes a pause back; what else keeps the node from sharing still does.",
    group: "Shared bandwidth",
    load: async () => (await import("./node/commands.ts")).resumeRole,
  },
  {
    name: "node-consent",
    summary: "Shows what the owner of a node agrees to and has agreed to, or takes it back.",
    group: "Shared bandwidth",
    load: async () => (await import("./node/commands.ts")).consentRole,
  },
  {
    name: "tracker",
    summary: "Introduces peers to each other; what they send each other never comes here.",
    group: "Files",
    load: async () => (await import("./tracker.ts")).role,
  },
  {
    name: "peer",
    summary: "Shares a folder with other peers, sealed end to end, and shows what they share.",
    group: "Files",
    load: async () => (await import("./peer.ts")).role,
  },
  {
    name: "peer-get",
    summary: "Fetches a file or a folder from a peer, and goes on where it was.",
    group: "Files",
    load: async () => (await import("./files/get.ts")).getRole,
  },
  {
    name: "peer-ls",
    summary: "What a peer shares; without one, which peers are online.",
    group: "Files",
    load: async () => (await import("./files/ls.ts")).lsRole,
  },
  {
    name: "peer-search",
    summary: "Looks for files by the words in their names, at peers that are online.",
    group: "Files",
    load: async () => (await import("./files/search.ts")).searchRole,
  },
  {
    name: "peer-share",
    summary: "Makes a ticket with which others fetch a file or a folder from here.",
    group: "Files",
    load: async () => (await import("./files/share.ts")).shareRole,
  },
  {
    name: "peer-invitations",
    summary: "The tickets that were given away: what for, until when, and how often they were used.",
    group: "Files",
    load: async () => (await import("./files/invitation_commands.ts")).invitationsRole,
  },
  {
    name: "peer-revoke",
    summary: "Takes a ticket back: whoever has come by it is let go of.",
    group: "Files",
    load: async () => (await import("./files/invitation_commands.ts")).revokeRole,
  },
  {
    name: "peer-open",
    summary: "A URL of this machine that leads to a peer's files, for a browser or a player.",
    group: "Files",
    load: async () => (await import("./files/open.ts")).openRole,
  },
  {
    name: "peer-status",
    summary: "What the peer of this machine shares, where it is reached, and who is there.",
    group: "Files",
    load: async () => (await import("./files/status.ts")).statusRole,
  },
  {
    name: "manager",
    summary: "Keeps services up: starts them, watches them, restarts what fails.",
    group: "Services",
    load: async () => (await import("./manager.ts")).role,
  },
  {
    name: "manager-install",
    summary: "Makes a service of a role, or of paqet, gfk or xray: asks, or goes by flags.",
    group: "Services",
    load: async () => (await import("./manager/install_command.ts")).installRole,
  },
  {
    name: "manager-uninstall",
    summary: "Stops services and takes away what was installed for them.",
    group: "Services",
    load: async () => (await import("./manager/uninstall_command.ts")).uninstallRole,
  },
  {
    name: "manager-doctor",
    summary: "Says what is wrong with services and this machine, and what to do about it.",
    group: "Services",
    load: async () => (await import("./manager/doctor_command.ts")).doctorRole,
  },
  {
    name: "manager-list",
    summary: "Which services there are on this machine, and in what state.",
    group: "Services",
    load: async () => (await import("./manager/list_command.ts")).listRole,
  },
  {
    name: "manager-status",
    summary: "How the manager and its services are, and why.",
    group: "Services",
    load: async () => (await import("./manager/status_command.ts")).statusRole,
  },
  {
    name: "manager-start",
    summary: "Starts services, and waits until they run.",
    group: "Services",
    load: async () => (await import("./manager/start_command.ts")).startRole,
  },
  {
    name: "manager-stop",
    summary: "Stops services, and waits until nothing of them runs.",
    group: "Services",
    load: async () => (await import("./manager/stop_command.ts")).stopRole,
  },
  {
    name: "manager-restart",
    summary: "Stops services and starts them again, and waits until they run.",
    group: "Services",
    load: async () => (await import("./manager/restart_command.ts")).restartRole,
  },
  {
    name: "manager-logs",
    summary: "What services have written to their logs, and what they write from now on.",
    group: "Services",
    load: async () => (await import("./manager/logs_command.ts")).logsRole,
  },
  {
    name: "manager-stats",
    summary: "What services use and carry: CPU, memory, connections, throughput.",
    group: "Services",
    load: async () => (await import("./manager/stats_command.ts")).statsRole,
  },
  {
    name: "manager-watch",
    summary: "A live table of all services, with keys to start, stop and restart them.",
    group: "Services",
    load: async () => (await import("./manager/watch_command.ts")).watchRole,
  },
  {
    name: "keys",
    summary: "Shows this peer's id and public keys, making them on first use.",
    group: "Identity",
    load: async () => (await import("./keys.ts")).role,
  },
  {
    name: "enroll",
    summary: "Makes closed networks and lets peers in: keys, certificates, and what they say.",
    group: "Identity",
    load: async () => (await import("./enroll.ts")).role,
  },
  {
    name: "health",
    summary: "Whether a role that runs here can do its work: exit code 0, or 1 and why not.",
    group: "This program",
    load: async () => (await import("./health.ts")).role,
  },
  {
    name: "completions",
    summary: "Prints what makes a shell complete culvert's roles, flags and values.",
    group: "This program",
    load: async () => (await import("./completions.ts")).role,
  },
  {
    name: "version",
    summary: "Prints the versions of culvert, Deno and V8.",
    group: "This program",
    load: async () => (await import("./version.ts")).role,
  },
];
