/**
 * How each dialect of vtcp is served: what it must be told, and what it makes of it.
 */

import { formatPorts } from "../../protocol/port_span.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { Path } from "../../protocol/stream.ts";
import { QuerySettings } from "../../net/query_settings.ts";
import { withBackend } from "../../net/vtcp/backend_path.ts";
import { serveGfk } from "../../net/vtcp/gfk_server.ts";
import { VtcpServer } from "../../net/vtcp/vtcp_server.ts";
import { ConfigError } from "../config.ts";
import { FollowedClients } from "../followed_clients.ts";
import { ownAddress } from "../own_address.ts";
import type { RoleContext } from "../role.ts";
import { TransportClients } from "../transport_clients.ts";
import type { ServerSettings } from "./server_settings.ts";

/** A server that runs. Disposing cuts everything and waits for its end. */
export interface ServedVtcp extends AsyncDisposable {
  readonly ports: readonly number[];
  /** More to say on the ready line. */
  readonly note?: string;
  /** Rejects when it ends by itself. */
  readonly failed: Promise<never>;
  /** Takes no more, and settles when what is under way has ended or the signal is aborted. */
  drain(signal: AbortSignal): Promise<void>;
}

export interface ServeTools {
  readonly onward: Path;
  readonly context: RoleContext;
}

type Serve = (settings: ServerSettings, tools: ServeTools) => Promise<ServedVtcp>;

export const servers: Readonly<Record<ServerSettings["dialect"], Serve>> = {
  "culvert": serveOwn,
  "gfk-py": serveGfkClients,
  "gfk-go": serveGfkClients,
};

async function serveOwn(settings: ServerSettings, { onward, context }: ServeTools): Promise<ServedVtcp> {
  const { clock, random, log, metrics } = context;
  if (settings.settings || settings.allowHosts) {
    throw refused("--settings and --allow-hosts are not of --dialect culvert");
  }
  await using stack = new AsyncDisposableStack();
  const store = await TransportClients.open(context);
  const clients = await FollowedClients.open(store, { given: settings.client, action: "start vtcp-server" }, context);
  const { backend: host, backendPorts: ports } = settings;
  const server = stack.use(
    await VtcpServer.start({
      ...{ clock, random, log, metrics },
      onward: withBackend(onward, { host, ports }),
      privateKey: await store.serverKey(),
      clients: clients.list,
      carrier: await carrierOf(settings),
      hop: { name: "vtcp server", at: `port ${formatPorts(settings.ports)}` },
      maxClients: settings.maxClients,
    }),
  );
  stack.use(clients.follow({
    admit: (client) => server.admit(client),
    revoke: (name) => server.revoke(name),
  }));
  const held = stack.move();
  return {
    ports: server.ports,
    note: clients.note,
    failed: failureOf(server.ended),
    drain: (signal) => server.drain(signal),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function serveGfkClients(settings: ServerSettings, { onward, context }: ServeTools): Promise<ServedVtcp> {
  const { clock, random, log, metrics } = context;
  const { dialect, key, backend, backendPorts, allowHosts, maxClients } = settings;
  if (dialect === "culvert") throw refused("--dialect must be one of gfk");
  const query = new QuerySettings(settings.settings, (rule) => refused(`--settings ${rule}`));
  const transport = query.choice("carrier", ["quic", "kcp"], "quic");
  const mtuBytes = query.number("mtu", { least: 576, most: 1500, usual: 1400 });
  query.done();
  if (settings.client.length > 0) {
    throw refused("--client is of --dialect culvert alone: here all clients have one key");
  }
  if (dialect === "gfk-go" && key === undefined) throw refused("--key must be given");
  if (dialect === "gfk-py" && transport === "kcp") throw refused("--settings must have carrier=quic with gfk-py");
  if (dialect === "gfk-py" && key === undefined) {
    log.warn("There is no --key: whoever knows gfk's default one is let in");
  }
  const server = await serveGfk({
    ...{ dialect, transport, mtuBytes, clock, random, log, metrics, onward, maxClients, allowHosts },
    ...key !== undefined && { secret: key },
    ...backendPorts.length > 0 && { allowedPorts: backendPorts },
    backendHost: backend,
    carrier: await carrierOf(settings),
  });
  return {
    ports: server.ports,
    failed: failureOf(server.ended),
    drain: (signal) => server.drain(signal),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

async function carrierOf(
  { carrier: kind, ports, address, dialect, interface: card, manageFirewall }: ServerSettings,
): Promise<Pick<CarrierOptions, "kind" | "listen" | "look" | "interface" | "manageFirewall">> {
  const look = dialect === "culvert" ? "ours" : dialect;
  const raw = { look, manageFirewall, ...card !== undefined && { interface: card } } as const;
  return { kind, listen: { host: await ownAddress(address), ports }, ...kind === "raw" && raw };
}

/** Never settles where there is none. */
async function failureOf(ended: Promise<Error | undefined>): Promise<never> {
  const error = await ended;
  if (error) throw error;
  return await new Promise<never>(() => {});
}

function refused(problem: string): ConfigError {
  return new ConfigError("start vtcp-server", [problem]);
}
