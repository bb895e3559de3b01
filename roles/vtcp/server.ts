/**
 * `culvert vtcp-server`: the far end of QUIC in packets that look like TCP of no connection. What clients dial is dialled here.
 *
 *   clients ─ packets that look like TCP, or UDP ─▶ --ports ─▶ --path (direct: by default) ─▶ targets
 *
 * Clients are invited (`culvert kcp invite NAME --by vtcp`) and revoked while it runs.
 */

import { aborted } from "../../protocol/abort.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import type { Path } from "../../protocol/stream.ts";
import { VtcpServer } from "../../net/vtcp/vtcp_server.ts";
import { FollowedClients } from "../followed_clients.ts";
import { ownAddress } from "../own_address.ts";
import { defineRole, type Role, type RoleContext, runRole } from "../role.ts";
import { TransportClients } from "../transport_clients.ts";
import { openWayOut } from "../way_out.ts";
import { serverConfig, type ServerSettings } from "./server_settings.ts";

export const role: Role<typeof serverConfig> = defineRole({
  name: "vtcp-server",
  summary: "The far end of QUIC in packets of no TCP connection: dials what clients dial.",
  config: serverConfig,
  examples: [
    "sudo culvert vtcp server",
    "sudo culvert vtcp server --ports 45000-45007 --egress-policy policy.toml",
    "culvert vtcp server --carrier udp",
  ],
  async run(config, context) {
    await using onward = await openWayOut(config, "start vtcp-server", context);
    const store = await TransportClients.open(context);
    const clients = await FollowedClients.open(store, { given: config.client, action: "start vtcp-server" }, context);
    await using server = await serve(config, { store, clients, onward: onward.path, context });
    using _following = clients.follow({
      admit: (client) => server.admit(client),
      revoke: (name) => server.revoke(name),
    });
    const host = config.address.includes(":") ? `[${config.address}]` : config.address;
    const ports = formatPorts({ first: server.ports[0]!, count: server.ports.length });
    context.ready({ addresses: { listen: `${host}:${ports} (${config.carrier})` }, note: clients.note });
    await Promise.race([aborted(context.signal), failed(server)]);
    await server.drain(context.hardSignal);
  },
});

interface Parts {
  readonly store: TransportClients;
  readonly clients: FollowedClients;
  readonly onward: Path;
  readonly context: RoleContext;
}

async function serve(config: ServerSettings, { store, clients, onward, context }: Parts): Promise<VtcpServer> {
  const { clock, random, log, metrics } = context;
  const { carrier: kind, ports, interface: card, manageFirewall } = config;
  const raw = { look: "ours", manageFirewall, ...card !== undefined && { interface: card } } as const;
  return await VtcpServer.start({
    ...{ clock, random, log, metrics, onward },
    privateKey: await store.serverKey(),
    clients: clients.list,
    carrier: { kind, listen: { host: await ownAddress(config.address), ports }, ...kind === "raw" && raw },
    hop: { name: "vtcp server", at: `port ${formatPorts(ports)}` },
    maxClients: config.maxClients,
  });
}

/** Rejects when the server ends by itself. */
async function failed(server: VtcpServer): Promise<void> {
  const error = await server.ended;
  if (error) throw error;
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
