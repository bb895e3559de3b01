/**
 * How each dialect is served on carriers that are open: what it must be told, and what it makes of it.
 */

import { CulvertKcpServer } from "../../net/kcp/culvert_server.ts";
import { serveKcptun } from "../../net/kcp/kcptun_server.ts";
import { readKcptunSettings } from "../../net/kcp/kcptun_url.ts";
import { servePaqet } from "../../net/kcp/paqet_server.ts";
import { readPaqetSettings } from "../../net/kcp/paqet_url.ts";
import { QuerySettings } from "../../net/query_settings.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { kcptunDefaults } from "../../protocol/packet_layer/kcptun_settings.ts";
import { paqetDefaults } from "../../protocol/paqet/paqet_settings.ts";
import type { Path } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { FollowedClients } from "../followed_clients.ts";
import type { RoleContext } from "../role.ts";
import { TransportClients } from "../transport_clients.ts";
import type { ServerSettings } from "./server_settings.ts";

/** A server that runs. Disposing cuts everything and waits for its end. */
export interface ServedDialect extends AsyncDisposable {
  /** More to say on the ready line. */
  readonly note?: string;
  /** Takes no more, lets what is under way come to its end until the signal is aborted, and closes. */
  shutdown(signal: AbortSignal): Promise<void>;
}

export interface ServeTools {
  /** Not started. They may be closed with the server. */
  readonly carriers: readonly PacketCarrier[];
  readonly onward: Path;
  readonly context: RoleContext;
}

type Serve = (settings: ServerSettings, tools: ServeTools) => Promise<ServedDialect>;

export const servers: Readonly<Record<ServerSettings["dialect"], Serve>> = {
  culvert: serveCulvert,
  kcptun: serveTun,
  paqet: serveAsPaqet,
};

async function serveCulvert(
  settings: ServerSettings,
  { carriers, onward, context }: ServeTools,
): Promise<ServedDialect> {
  const { clock, random, log, metrics, signal } = context;
  if (settings.target || settings.settings) throw refused("--target and --settings are not of --dialect culvert");
  await using stack = new AsyncDisposableStack();
  const crypto = stack.use(await openSealCrypto({ explain: (reason) => log.debug("No libcrypto", { reason }) }));
  const store = await TransportClients.open(context);
  const privateKey = await store.serverKey();
  const clients = await FollowedClients.open(store, { given: settings.client, action: "start kcp-server" }, context);
  const server = stack.use(
    new CulvertKcpServer({
      ...{ carriers, crypto, clock, random, log, metrics, onward, clients: clients.list },
      server: { privateKey, publicKey: crypto.x25519PublicKey(privateKey) },
      sessions: { maxSessions: settings.maxSessions },
    }),
  );
  const { clients: table } = server;
  stack.use(clients.follow({ admit: (client) => void table.add(client), revoke: (name) => void table.revoke(name) }));
  signal.throwIfAborted();
  const held = stack.move();
  return {
    note: clients.note,
    shutdown: (hardSignal) => server.shutdown(hardSignal),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

async function serveTun(settings: ServerSettings, { carriers, onward, context }: ServeTools): Promise<ServedDialect> {
  const { clock, random, log, metrics } = context;
  const { key, crypt, target, maxSessions } = settings;
  const query = querySettings(settings);
  const usual = { ...kcptunDefaults.server, crypt, ...key !== undefined && { key } };
  const kcptun = readKcptunSettings(query, usual);
  query.done();
  if (key === undefined) log.warn("There is no --key: whoever knows kcptun's default one is let in");
  const server = await serveKcptun({
    ...{ ...kcptun, clock, random, log, metrics },
    ...{ carrier: onlyOne(carriers, settings), target: target ?? "socks5", onward },
    limits: { maxTunnels: maxSessions },
  });
  return serving(server);
}

async function serveAsPaqet(
  settings: ServerSettings,
  { carriers, onward, context }: ServeTools,
): Promise<ServedDialect> {
  const { clock, random, log, metrics } = context;
  const { key = "", crypt, maxSessions } = settings;
  const query = querySettings(settings);
  const paqet = readPaqetSettings(query, { ...paqetDefaults.server, key, block: crypt });
  query.done();
  if (key === "" && paqet.block !== "none" && paqet.block !== "null") throw refused("--key must be given");
  const server = await servePaqet({
    ...{ ...paqet, clock, random, log, metrics },
    ...{ carrier: onlyOne(carriers, settings), onward },
    limits: { maxTunnels: maxSessions },
  });
  return serving(server);
}

function querySettings({ settings }: ServerSettings): QuerySettings {
  return new QuerySettings(settings, (rule) => refused(`--settings ${rule}`));
}

/** Of a dialect that knows one key, and one carrier. */
function onlyOne(carriers: readonly PacketCarrier[], { client }: ServerSettings): PacketCarrier {
  if (client.length > 0) throw refused("--client is of --dialect culvert alone: here all clients have one key");
  if (carriers.length === 1) return carriers[0]!;
  throw refused("--carrier both and --relayed-port are of --dialect culvert alone");
}

interface Closable {
  shutdown(signal: AbortSignal): Promise<void>;
  close(): void;
  closed(): Promise<void>;
}

function serving(server: Closable): ServedDialect {
  return {
    shutdown: (hardSignal) => server.shutdown(hardSignal),
    async [Symbol.asyncDispose]() {
      server.close();
      await server.closed();
    },
  };
}

function refused(problem: string): ConfigError {
  return new ConfigError("start kcp-server", [problem]);
}
