/**
 * Imported settings as what our roles are told: a section of a configuration file.
 *
 *   { role: "kcp-client", values: { server: ["kcp+raw://KEY@host:9999/?dialect=paqet&…"], listen: ["127.0.0.1:1080"] } }
 */

import { BACKEND_HOST } from "../../net/vtcp/gfk_dialect.ts";
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
  if (program === "gfk-go") noteLeftOut(settings, notes);
  if (program !== "paqet" && transport === "quic" && side === "client") {
    notes.push(
      "unverified=1 is set, as nothing tells GFK's servers apart: certificate=FILE&name=NAME would, in its place",
    );
  }
  const values = side === "client" ? clientValues(settings, family, notes) : serverValues(settings, family);
  return { role: `${family}-${side}`, values, notes };
}

/** Ours has its own sizes there, which fit with any. */
function noteLeftOut({ kcp, mux }: ImportedSettings, notes: string[]): void {
  if ((kcp?.dataShards ?? 0) > 0 && (kcp?.parityShards ?? 0) > 0) {
    notes.push(
      "kcp.fec_data and fec_parity must be 0 at the other end: gfk's forward error correction is not spoken here",
    );
  }
  if (Object.keys({ ...kcp, crypt: undefined, mtuBytes: undefined, ...mux }).length > 2) {
    notes.push("The settings of KCP and of its streams are left out: they are those that gfk begins with");
  }
}

function clientValues(
  settings: ImportedSettings,
  family: "kcp" | "vtcp",
  notes: string[],
): Readonly<Record<string, unknown>> {
  const { carrier, key, program, socks, forwards, logLevel } = settings;
  const { host = "", ports } = carrier.server;
  const scheme = family === "kcp" ? "kcp+raw" : "vtcp";
  const unverified = program !== "paqet" && settings.transport === "quic" ? 1 : undefined;
  const query = queryOf({ dialect: program, ...dialectWords(settings), unverified, ...carrierWords(carrier) });
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

/** A port alone is one of the server's backend. */
function forwardText({ protocol, listen, target }: ImportedForward): string {
  const from = listen.startsWith(":") ? `0.0.0.0${listen}` : listen;
  return `${protocol}:${from}=${typeof target === "number" ? `${BACKEND_HOST}:${target}` : target}`;
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
    allowHosts: program === "gfk-go" && backend?.isOpen ? true : undefined,
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
  const mtu = kcp?.mtuBytes ?? quic?.mtuBytes ?? carrier.maxPayloadBytes;
  if (program !== "paqet") {
    return { ...program === "gfk-go" && { carrier: transport }, mtu };
  }
  return {
    block: kcp?.crypt,
    mode: kcp?.mode,
    nodelay: bit(kcp?.noDelay),
    interval: kcp?.intervalMs,
    resend: kcp?.fastResend,
    nocongestion: not(kcp?.hasCongestionControl),
    wdelay: bit(kcp?.writeDelay),
    acknodelay: bit(kcp?.ackNoDelay),
    sndwnd: kcp?.sendWindow,
    rcvwnd: kcp?.receiveWindow,
    dshard: kcp?.dataShards,
    pshard: kcp?.parityShards,
    conn: kcp?.links,
    mtu,
    smuxbuf: mux?.sessionBufferBytes,
    streambuf: mux?.streamBufferBytes,
    smuxkalive: seconds(mux?.keepAliveMs),
    smuxktimeout: seconds(mux?.timeoutMs),
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
