/**
 * Imported settings as what our roles are told: a section of a configuration file.
 *
 *   { role: "kcp-client", values: { server: ["kcp+raw://KEY@host:9999/?dialect=paqet&…"], listen: ["127.0.0.1:1080"] } }
 */

import { formatPorts } from "../../protocol/port_span.ts";
import type { ImportedCarrier, ImportedForward, ImportedSettings } from "./imported.ts";

export interface ImportedConfig {
  readonly role: "kcp-client" | "kcp-server" | "vtcp-client" | "vtcp-server";
  readonly values: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

type Value = string | number | boolean | undefined;

export function configOf(settings: ImportedSettings): ImportedConfig {
  const { side, transport, program } = settings;
  const family = transport === "quic" || program !== "paqet" ? "vtcp" : "kcp";
  const notes = [...settings.notes];
  if (side === "server" && settings.carrier.flags) {
    notes.push("network.tcp.local_flag is left out: a server answers with the flags that its clients ask for, or PA");
  }
  const values = side === "client" ? clientValues(settings, family, notes) : serverValues(settings, family);
  return { role: `${family}-${side}`, values, notes };
}

function clientValues(
  settings: ImportedSettings,
  family: "kcp" | "vtcp",
  notes: string[],
): Readonly<Record<string, unknown>> {
  const { carrier, key, program, socks, forwards, logLevel } = settings;
  const { host = "", ports } = carrier.server;
  const scheme = family === "kcp" ? "kcp+raw" : "vtcp";
  const query = queryOf({ dialect: program, ...dialectWords(settings), ...carrierWords(carrier) });
  const where = `${host.includes(":") ? `[${host}]` : host}:${formatPorts(ports)}`;
  if (program === "paqet" && carrier.clientPorts) {
    notes.push(`The client's port ${formatPorts(carrier.clientPorts)} is left out: each tunnel takes one that is free`);
  }
  const users = new Set(socks.flatMap(({ username, password = "" }) => username ? [`${username}:${password}`] : []));
  if (users.size > 0 && socks.some(({ username }) => username === undefined)) {
    notes.push("Users are asked for on every proxy here, also on those that were open to everyone");
  }
  return present({
    server: [`${scheme}://${encodeURIComponent(key)}@${where}/?${query}`],
    listen: socks.length > 0 ? socks.map(({ listen }) => listen) : undefined,
    user: users.size > 0 ? [...users] : undefined,
    forward: forwards.length > 0 ? forwards.map(forwardText) : undefined,
    logLevel,
  });
}

/** A port alone is one of the server's backend, which a server of ours reaches as its own. */
function forwardText({ protocol, listen, target }: ImportedForward): string {
  const from = listen.startsWith(":") ? `0.0.0.0${listen}` : listen;
  return `${protocol}:${from}=${typeof target === "number" ? `127.0.0.1:${target}` : target}`;
}

function serverValues(settings: ImportedSettings, family: "kcp" | "vtcp"): Readonly<Record<string, unknown>> {
  const { carrier, key, program, backend, logLevel } = settings;
  return present({
    ports: formatPorts(carrier.server.ports),
    address: carrier.source ?? carrier.server.host,
    carrier: family === "kcp" ? "raw" : undefined,
    dialect: program,
    key,
    crypt: settings.kcp?.crypt,
    settings: queryOf({ ...dialectWords(settings), block: undefined, conn: undefined }) || undefined,
    interface: carrier.interface,
    manageFirewall: carrier.manageFirewall,
    backend: backend?.host || undefined,
    backendPorts: backend?.ports,
    logLevel,
  });
}

function carrierWords(
  { interface: card, source, gatewayMac, flags, remoteFlags, manageFirewall }: ImportedCarrier,
): Record<string, Value> {
  return {
    interface: card,
    source,
    gateway: gatewayMac,
    firewall: manageFirewall === false ? 0 : undefined,
    local_flag: flags?.join(","),
    remote_flag: remoteFlags?.join(","),
  };
}

/** Its own words for its own settings, where they were given. */
function dialectWords({ program, transport, kcp, quic, mux, carrier }: ImportedSettings): Record<string, Value> {
  const bit = (value: boolean | undefined) => value === undefined ? undefined : Number(value);
  const not = (value: boolean | undefined) => value === undefined ? undefined : Number(!value);
  const seconds = (ms: number | undefined) => ms === undefined ? undefined : ms / 1000;
  const isPaqet = program === "paqet";
  return {
    ...program === "gfk-go" && { carrier: transport },
    ...kcp && {
      block: isPaqet ? kcp.crypt : undefined,
      mode: isPaqet ? kcp.mode : undefined,
      nodelay: bit(kcp.noDelay),
      interval: kcp.intervalMs,
      resend: kcp.fastResend,
      [isPaqet ? "nocongestion" : "nc"]: not(kcp.hasCongestionControl),
      wdelay: isPaqet ? bit(kcp.writeDelay) : undefined,
      acknodelay: isPaqet ? bit(kcp.ackNoDelay) : undefined,
      sndwnd: kcp.sendWindow,
      rcvwnd: kcp.receiveWindow,
      [isPaqet ? "dshard" : "fec_data"]: kcp.dataShards,
      [isPaqet ? "pshard" : "fec_parity"]: kcp.parityShards,
      conn: kcp.links,
    },
    mtu: kcp?.mtuBytes ?? quic?.mtuBytes ?? carrier.maxPayloadBytes,
    ...isPaqet && {
      smuxbuf: mux?.sessionBufferBytes,
      streambuf: mux?.streamBufferBytes,
      smuxkalive: seconds(mux?.keepAliveMs),
      smuxktimeout: seconds(mux?.timeoutMs),
    },
  };
}

function queryOf(words: Readonly<Record<string, Value>>): string {
  const given = Object.entries(words).filter((entry): entry is [string, string | number | boolean] =>
    entry[1] !== undefined
  );
  return given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function present(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
