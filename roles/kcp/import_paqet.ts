/**
 * A configuration of paqet (YAML, alpha.21) in our own words. Defaults are paqet's, so that both ends still fit together.
 */

import { parse } from "@std/yaml";
import { messageOf } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { cryptNames } from "../../protocol/packet_layer/crypt.ts";
import type { PortSpan } from "../../protocol/port_span.ts";
import { parseTarget } from "../../protocol/stream.ts";
import { parseFlags } from "../../protocol/tcp_look/flags.ts";
import type {
  ImportedCarrier,
  ImportedForward,
  ImportedKcp,
  ImportedMux,
  ImportedSettings,
  ImportedSocks,
} from "./imported.ts";
import { defined, ImportReport, KeyReader } from "./key_reader.ts";

const WHAT = "a configuration of paqet";
const MAX_CHARACTERS = 1 << 20;
const MAX_SOCKS = 64;
const MAX_FLAGS = 64;
const MODES = ["normal", "fast", "fast2", "fast3", "manual"] as const;
const BLOCKS_UNKNOWN_HERE = ["aes-256", "blowfish", "twofish", "cast5", "3des", "tea", "xtea", "sm4", "sm4-gcm"];
const MILLISECONDS = 1000;

/** Throws `bad_file` with everything that is wrong. */
export function importPaqet(text: string): ImportedSettings {
  const report = new ImportReport();
  const root = new KeyReader(parseYaml(text, WHAT, report), report);
  report.check(WHAT);
  const side = root.choice("role", ["client", "server"]) ?? "client";
  if (!root.has("role")) root.problem("role", "must be client or server");
  const level = root.object("log").choice("level", ["none", "debug", "info", "warn", "error", "fatal"]);
  const transport = root.object("transport");
  transport.choice("protocol", ["kcp"]);
  const kcpKeys = transport.object("kcp");
  const kcp = readKcp(kcpKeys, transport.whole("conn", { least: 1, most: 256 }));
  const mux = readMux(kcpKeys);
  const isKeyless = kcp.crypt === "none" || kcp.crypt === "null";
  const settings: ImportedSettings = {
    program: "paqet",
    side,
    transport: "kcp",
    carrier: readCarrier(root, side),
    key: isKeyless ? kcpKeys.text("key") ?? "" : kcpKeys.needed("key"),
    kcp,
    mux,
    socks: root.objects("socks5").slice(0, MAX_SOCKS).map(readSocks),
    forwards: root.objects("forward").map(readForward),
    ...side === "server" && { backend: { host: "", isOpen: true } },
    ...level !== undefined && { logLevel: level === "none" || level === "fatal" ? "error" : level },
    notes: report.notes,
  };
  root.done();
  report.check(WHAT);
  return settings;
}

/** Undefined, and a problem, when it is no YAML. */
export function parseYaml(text: string, what: string, report: ImportReport): unknown {
  if (text.length > MAX_CHARACTERS) {
    report.problems.push(`it must have at most ${MAX_CHARACTERS} characters`);
    return undefined;
  }
  try {
    const parsed = parse(text);
    if (parsed === null || parsed === undefined) report.problems.push(`${what} must have keys, and is empty`);
    return parsed;
  } catch (error) {
    // The parser shows the line, which may have a key in it: only where is told.
    const where = /line (\d+)/.exec(messageOf(error))?.[1];
    report.problems.push(`it must be YAML${where === undefined ? "" : `, and is not in line ${where}`}`);
    return undefined;
  }
}

function readCarrier(root: KeyReader, side: "client" | "server"): ImportedCarrier {
  const network = root.object("network");
  network.ignore("guid", "only Npcap of Windows needs it");
  network.object("pcap").ignore("sockbuf", "nothing goes through pcap");
  const families = (["ipv4", "ipv6"] as const).map((name) => {
    const family = network.object(name);
    const addr = family.text("addr");
    const place = addr === undefined || addr === "" ? undefined : readPlace(addr);
    if (addr && !place) family.problem("addr", "must be an address and a port");
    const mac = family.text("router_mac");
    if (mac && !/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac)) {
      family.problem("router_mac", "must be a hardware address");
    }
    return { name, place, mac: mac ? mac.replaceAll("-", ":").toLowerCase() : undefined, isGiven: place !== undefined };
  });
  const server = readServer(root, side);
  const isV6 = server?.host !== undefined && parseIp(server.host)?.length === 16;
  const [wanted, other] = isV6 ? [families[1]!, families[0]!] : [families[0]!, families[1]!];
  const own = wanted.isGiven ? wanted : other;
  if (families.every(({ isGiven }) => isGiven)) {
    network.note(
      own === families[0] ? "ipv6" : "ipv4",
      "is left out: a carrier has one source, and finds others itself",
    );
  }
  const tcp = network.object("tcp");
  const flags = readFlags(tcp, "local_flag"), remoteFlags = readFlags(tcp, "remote_flag");
  const name = network.text("interface");
  const clientPort = side === "client" ? own.place?.port : undefined;
  return {
    look: "paqet",
    server: server ?? { ports: { first: 1, count: 1 } },
    ...clientPort !== undefined && clientPort > 0 && { clientPorts: onePort(clientPort) },
    ...name && { interface: name },
    ...own.place?.host && { source: own.place.host },
    ...own.mac !== undefined && { gatewayMac: own.mac },
    ...flags && { flags },
    ...remoteFlags && { remoteFlags },
  };
}

function readServer(
  root: KeyReader,
  side: "client" | "server",
): { readonly host?: string; readonly ports: PortSpan } | undefined {
  const [keys, other] = side === "client" ? ["server", "listen"] as const : ["listen", "server"] as const;
  root.ignore(other, `it is of the other side`);
  const reader = root.object(keys);
  const text = reader.needed("addr");
  const place = readPlace(text);
  if (text !== "" && (!place || place.port === 0 || (side === "client" && place.host === ""))) {
    reader.problem(
      "addr",
      side === "client" ? "must be the server's address and port" : "must be an address and a port",
    );
  }
  if (!place) return undefined;
  return { ports: onePort(place.port), ...place.host !== "" && { host: place.host } };
}

/** `host:port`, `[v6]:port` or `:port`; 0 for any port. */
function readPlace(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match && port <= 65_535 ? { host: match[1] ?? match[2]!, port } : undefined;
}

function onePort(port: number): PortSpan {
  return { first: port, count: 1 };
}

function readFlags(tcp: KeyReader, key: string): string[] | undefined {
  const flags = tcp.texts(key);
  if (!flags || flags.length === 0) return undefined;
  if (flags.length <= MAX_FLAGS && flags.every(isFlags)) return flags.map((letters) => letters.toUpperCase());
  tcp.problem(key, `must be up to ${MAX_FLAGS} of letters such as PA`);
  return undefined;
}

function isFlags(letters: string): boolean {
  try {
    parseFlags(letters);
    return true;
  } catch {
    return false;
  }
}

function readKcp(keys: KeyReader, links: number | undefined): ImportedKcp {
  const mode = keys.choice("mode", MODES) ?? "fast";
  const shards = { least: 0, most: 128 }, window = { least: 1, most: 32_768 };
  return defined({
    crypt: readBlock(keys),
    mode,
    noDelay: keys.flag("nodelay"),
    intervalMs: keys.whole("interval", { least: 10, most: 5000 }),
    fastResend: keys.whole("resend", { least: 0, most: 100 }),
    hasCongestionControl: inverse(keys.flag("nocongestion")),
    writeDelay: keys.flag("wdelay"),
    ackNoDelay: keys.flag("acknodelay"),
    mtuBytes: keys.whole("mtu", { least: 50, most: 1500 }),
    sendWindow: keys.whole("sndwnd", window),
    receiveWindow: keys.whole("rcvwnd", window),
    dataShards: keys.whole("dshard", shards),
    parityShards: keys.whole("pshard", shards),
    links,
  });
}

function readBlock(keys: KeyReader): ImportedKcp["crypt"] {
  const block = keys.text("block") ?? "aes";
  const crypt = cryptNames.find((name) => name === block);
  if (crypt) return crypt;
  const reason = BLOCKS_UNKNOWN_HERE.includes(block) ? "is not spoken here" : "is not known";
  keys.problem("block", `${reason}: it must be ${cryptNames.join(", ")}`);
  return "aes";
}

function readMux(keys: KeyReader): ImportedMux {
  const seconds = { least: 1, most: 86_400 }, bytes = { least: 1, most: 2 ** 31 };
  const inMs = (value: number | undefined) => value === undefined ? undefined : value * MILLISECONDS;
  return defined({
    sessionBufferBytes: keys.whole("smuxbuf", bytes),
    streamBufferBytes: keys.whole("streambuf", bytes),
    keepAliveMs: inMs(keys.whole("smuxkalive", seconds)),
    timeoutMs: inMs(keys.whole("smuxktimeout", seconds)),
  });
}

function readSocks(socks: KeyReader): ImportedSocks {
  const listen = socks.needed("listen");
  if (listen !== "" && !readPlace(listen)) socks.problem("listen", "must be an address and a port");
  const username = socks.text("username"), password = socks.text("password");
  return { listen, ...username && { username }, ...password && { password } };
}

function readForward(forward: KeyReader): ImportedForward {
  const listen = forward.needed("listen"), target = forward.needed("target");
  if (listen !== "" && !readPlace(listen)) forward.problem("listen", "must be an address and a port");
  if (target !== "" && !parseTarget(target)) forward.problem("target", "must be a host and a port");
  return { protocol: forward.choice("protocol", ["tcp", "udp"]) ?? "tcp", listen, target };
}

function inverse(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value;
}
