/**
 * How each dialect is served on carriers that are open: what it must be told, and what it makes of it.
 */

import { CulvertKcpServer } from "../../net/kcp/culvert_server.ts";
import { serveKcptun } from "../../net/kcp/kcptun_server.ts";
import { readKcptunSettings } from "../../net/kcp/open_kcp.ts";
import { QuerySettings } from "../../net/query_settings.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { kcptunDefaults } from "../../protocol/packet_layer/kcptun_settings.ts";
import { type NamedSecret, parseNamedSecret } from "../../protocol/sealed_packets/credentials.ts";
import type { Path } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { repeat } from "../repeating.ts";
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
  /** Not started; closed with the server. */
  readonly carriers: readonly PacketCarrier[];
  readonly onward: Path;
  readonly context: RoleContext;
}

type Serve = (settings: ServerSettings, tools: ServeTools) => Promise<ServedDialect>;

export const servers: Readonly<Record<ServerSettings["dialect"], Serve>> = {
  culvert: serveCulvert,
  kcptun: serveTun,
};

/** How soon somebody who was invited or revoked is known. */
const LOOK_MS = 1000;

async function serveCulvert(
  settings: ServerSettings,
  { carriers, onward, context }: ServeTools,
): Promise<ServedDialect> {
  const { clock, random, log, metrics, signal } = context;
  await using stack = new AsyncDisposableStack();
  const crypto = stack.use(await openSealCrypto({ explain: (reason) => log.debug("No libcrypto", { reason }) }));
  const store = await TransportClients.open(context);
  const privateKey = await store.serverKey();
  const given = settings.client.map(readClient);
  const clients = [...given, ...await store.list()];
  const server = stack.use(
    new CulvertKcpServer({
      ...{ carriers, crypto, clock, random, log, metrics, onward, clients },
      server: { privateKey, publicKey: crypto.x25519PublicKey(privateKey) },
      sessions: { maxSessions: settings.maxSessions },
    }),
  );
  stack.use(repeat({
    clock,
    everyMs: LOOK_MS,
    look: async () => follow(server, [...given, ...await store.list()]),
    onProblem: (error) => log.warn("Who was invited could not be read: those before stay", { error }),
  }));
  signal.throwIfAborted();
  const held = stack.move();
  return {
    note: clients.length === 0 ? "nobody is let in yet: culvert kcp invite NAME" : `clients ${clients.length}`,
    shutdown: (hardSignal) => server.shutdown(hardSignal),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };

  function follow(server: CulvertKcpServer, wanted: readonly NamedSecret[]): void {
    const names = new Set(wanted.map(({ name }) => name));
    for (const name of server.clients.names) {
      if (names.has(name)) continue;
      server.clients.revoke(name);
      log.info("A client was revoked", { client: name });
    }
    const known = new Set(server.clients.names);
    for (const client of wanted) {
      if (known.has(client.name)) continue;
      server.clients.add(client);
      log.info("A client was invited", { client: client.name });
    }
  }
}

function readClient(text: string): NamedSecret {
  try {
    return parseNamedSecret(text);
  } catch (error) {
    throw new ConfigError("start kcp-server", [`--client is of no use. ${messageOf(error)}`]);
  }
}

async function serveTun(settings: ServerSettings, { carriers, onward, context }: ServeTools): Promise<ServedDialect> {
  const { clock, random, log, metrics } = context;
  const { key, crypt, target } = settings;
  if (carriers.length > 1) throw refused("--carrier must be udp or raw with --dialect kcptun");
  const query = new QuerySettings(settings.settings, (rule) => refused(`--settings ${rule}`));
  const usual = { ...kcptunDefaults.server, crypt, ...key !== undefined && { key } };
  const kcptun = readKcptunSettings(query, usual);
  query.done();
  if (key === undefined) log.warn("There is no --key: whoever knows kcptun's default one is let in");
  const tools = { clock, random, log, metrics };
  const server = await serveKcptun({
    ...kcptun,
    ...tools,
    ...{ carrier: carriers[0]!, target: target ?? "socks5", onward },
    limits: { maxTunnels: settings.maxSessions },
  });
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
