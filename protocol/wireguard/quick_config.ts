/**
 * Configuration files of wg-quick (wg-quick(8), wg(8)), read. `quick_config_text.ts` writes them.
 *
 *   [Interface]  PrivateKey ListenPort FwMark; Address DNS MTU Table SaveConfig PreUp PostUp PreDown PostDown
 *   [Peer]       PublicKey PresharedKey AllowedIPs Endpoint PersistentKeepalive
 *
 * Names and words are read whatever their case, `#` begins a comment anywhere in a line, lists may go on over several
 * lines of the same name, of other settings the last one counts. Stricter than the original in one thing: an IPv6
 * address in an Endpoint must have its brackets. Errors say the line and never repeat what may be a key.
 *
 * Names of hosts are left as names, and nothing is done with hooks but to keep them.
 */

import { CulvertError } from "../errors.ts";
import { parseHost } from "../host.ts";
import { type Cidr, formatIp, type IpAddress, parseCidr, parseIp } from "../ip.ts";
import type { Target } from "../stream.ts";
import { KEY_BYTES } from "../primitives.ts";
import { splitHostAndPort } from "./endpoint.ts";
import { keyFromBase64 } from "./keys.ts";
import { assign, type Draft, numberFrom } from "./read.ts";
import type { DeviceChange, Endpoint, Key } from "./settings.ts";

export interface QuickConfig {
  readonly privateKey?: Key;
  readonly listenPort?: number;
  readonly fwmark?: number;
  readonly addresses: readonly InterfaceAddress[];
  readonly dnsServers: readonly IpAddress[];
  readonly dnsSearchDomains: readonly string[];
  readonly mtu?: number;
  /** The number of a routing table, or "auto" for wg-quick's own way with default routes. */
  readonly table: "auto" | "off" | number;
  readonly saveConfig: boolean;
  readonly preUp: readonly string[];
  readonly postUp: readonly string[];
  readonly preDown: readonly string[];
  readonly postDown: readonly string[];
  readonly peers: readonly QuickPeer[];
}

export interface QuickPeer {
  readonly publicKey: Key;
  readonly presharedKey?: Key;
  /** `host` is a name in lower case or an address, the latter perhaps with `%` and an interface. */
  readonly endpoint?: Target;
  /** 0 is off. */
  readonly persistentKeepaliveS?: number;
  readonly allowedIps: readonly Cidr[];
}

/** Unlike a network it keeps the bits behind its prefix: the host's own. */
export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly bits: number;
}

export class QuickConfigError extends CulvertError {
  override readonly name = "QuickConfigError";
  /** Counted from 1. */
  readonly line: number;

  constructor(line: number, message: string) {
    super("bad_wireguard_config", `Cannot read the WireGuard configuration: line ${line}: ${message}`);
    this.line = line;
  }
}

/** Of an operator's file; more is a mistake in the path. Ten thousand peers take two million. */
const MAX_FILE_CHARACTERS = 16 * 1024 * 1024;
/** What every IPv4 host takes (RFC 791 §3.1). */
const MIN_MTU = 576;
const MAX_MTU = 65535;
/** The tables that have names everywhere. */
const NAMED_TABLES: ReadonlyMap<string, number> = new Map([["default", 253], ["main", 254], ["local", 255]]);

export function emptyQuickConfig(): Draft<QuickConfig> {
  return {
    addresses: [],
    dnsServers: [],
    dnsSearchDomains: [],
    table: "auto",
    saveConfig: false,
    preUp: [],
    postUp: [],
    preDown: [],
    postDown: [],
    peers: [],
  };
}

/** Reads a file's text; throws `QuickConfigError`. */
export function parseQuickConfig(text: string): QuickConfig {
  if (text.length > MAX_FILE_CHARACTERS) {
    throw new QuickConfigError(1, `the file must be at most ${MAX_FILE_CHARACTERS} characters, got ${text.length}`);
  }
  const reader = new ConfigReader();
  for (const line of text.replace(/^\uFEFF/, "").split("\n")) reader.take(line);
  return reader.finish();
}

/**
 * The change that makes a device what the file says and nothing else, as `wg setconf` does. Who resolves the names hands
 * in the endpoints; a peer without one waits to be spoken to.
 */
export function deviceChangeOf(
  config: QuickConfig,
  endpointOf: (peer: QuickPeer) => Endpoint | undefined,
): DeviceChange {
  return {
    privateKey: config.privateKey ?? new Uint8Array(KEY_BYTES),
    listenPort: config.listenPort ?? 0,
    fwmark: config.fwmark ?? 0,
    replacePeers: true,
    peers: config.peers.map((peer) => {
      const endpoint = endpointOf(peer);
      return {
        publicKey: peer.publicKey,
        ...peer.presharedKey && { presharedKey: peer.presharedKey },
        ...endpoint && { endpoint },
        ...peer.persistentKeepaliveS !== undefined && { persistentKeepaliveS: peer.persistentKeepaliveS },
        replaceAllowedIps: true,
        allowedIps: peer.allowedIps.map((cidr) => ({ cidr })),
      };
    }),
  };
}

class ConfigReader {
  readonly #config: Draft<QuickConfig> = emptyQuickConfig();
  #hasSection = false;
  /** The peer whose section this is; none in [Interface]. */
  #peer: PeerDraft | undefined;
  #sectionLine = 0;
  #line = 0;

  take(text: string): void {
    this.#line++;
    const line = text.split("#", 1)[0]!.trim();
    if (line === "") return;
    if (line.startsWith("[")) return this.#beginSection(line.toLowerCase());
    const equals = line.indexOf("=");
    if (equals < 0) this.#fail('it must be a section, or a name and a value with "=" between them');
    this.#set(line.slice(0, equals).trim().toLowerCase(), line.slice(equals + 1).trim());
  }

  finish(): QuickConfig {
    this.#endPeer();
    return this.#config;
  }

  #beginSection(header: string): void {
    this.#endPeer();
    if (header === "[peer]") this.#peer = { allowedIps: [] };
    else if (header !== "[interface]") this.#fail("a section must be [Interface] or [Peer]");
    this.#hasSection = true;
    this.#sectionLine = this.#line;
  }

  #endPeer(): void {
    if (!this.#peer) return;
    const { publicKey } = this.#peer;
    if (!publicKey) throw new QuickConfigError(this.#sectionLine, "the peer must have a PublicKey");
    this.#config.peers.push({ ...this.#peer, publicKey });
    this.#peer = undefined;
  }

  #set(name: string, value: string): void {
    if (this.#peer) this.#apply(PEER_SETTINGS, this.#peer, name, value);
    else if (this.#hasSection) this.#apply(INTERFACE_SETTINGS, this.#config, name, value);
    else this.#fail("a setting must come after [Interface] or [Peer]");
  }

  #apply<T>(settings: Settings<T>, draft: T, name: string, value: string): void {
    const setting = settings.find((setting) => setting.name.toLowerCase() === name);
    if (!setting) this.#fail(`the setting must be one of ${settings.map((setting) => setting.name).join(", ")}`);
    if (!setting.set(draft, value)) {
      this.#fail(`${setting.name} must be ${setting.rule}${setting.rule === KEY_RULE ? "" : `, got ${shown(value)}`}`);
    }
  }

  #fail(problem: string): never {
    throw new QuickConfigError(this.#line, problem);
  }
}

/** A peer is begun before its key is known. */
type PeerDraft = Omit<Draft<QuickPeer>, "publicKey"> & { publicKey?: Key };

type Settings<T> = readonly {
  readonly name: string;
  readonly rule: string;
  /** Puts a value where it belongs; false if it breaks the rule. */
  readonly set: (into: T, value: string) => boolean;
}[];

const KEY_RULE = "a key: 32 bytes in base64, 44 characters";

const INTERFACE_SETTINGS: Settings<Draft<QuickConfig>> = [
  { name: "PrivateKey", rule: KEY_RULE, set: (config, text) => assign(config, "privateKey", keyFromBase64(text)) },
  {
    name: "ListenPort",
    rule: "a port from 0 to 65535",
    set: (config, text) => assign(config, "listenPort", numberFrom(text, 65535)),
  },
  {
    name: "FwMark",
    rule: '"off" or a number from 0 to 0xffffffff',
    set: (config, text) => assign(config, "fwmark", markFrom(text)),
  },
  {
    name: "Address",
    rule: 'a list of addresses such as "10.0.0.1/24, fd00::1/64"',
    set: (config, text) => pushAll(config.addresses, wordsOf(text).map(addressFrom)),
  },
  {
    name: "DNS",
    rule: "a list of addresses of servers and of domains to search",
    set: (config, text) => wordsOf(text).every((word) => pushDns(config, word)),
  },
  {
    name: "MTU",
    rule: `a number from ${MIN_MTU} to ${MAX_MTU}`,
    set: (config, text) => assign(config, "mtu", mtuFrom(text)),
  },
  {
    name: "Table",
    rule: '"auto", "off" or the number of a table',
    set: (config, text) => assign(config, "table", tableFrom(text.toLowerCase())),
  },
  {
    name: "SaveConfig",
    rule: '"true" or "false"',
    set: (config, text) => assign(config, "saveConfig", booleanFrom(text.toLowerCase())),
  },
  { name: "PreUp", rule: "a command", set: (config, text) => pushCommand(config.preUp, text) },
  { name: "PostUp", rule: "a command", set: (config, text) => pushCommand(config.postUp, text) },
  { name: "PreDown", rule: "a command", set: (config, text) => pushCommand(config.preDown, text) },
  { name: "PostDown", rule: "a command", set: (config, text) => pushCommand(config.postDown, text) },
];

const PEER_SETTINGS: Settings<PeerDraft> = [
  { name: "PublicKey", rule: KEY_RULE, set: (peer, text) => assign(peer, "publicKey", keyFromBase64(text)) },
  { name: "PresharedKey", rule: KEY_RULE, set: (peer, text) => assign(peer, "presharedKey", keyFromBase64(text)) },
  {
    name: "AllowedIPs",
    rule: 'a list of networks such as "10.0.0.0/24, fd00::/64"',
    set: (peer, text) =>
      text === "" || pushAll(peer.allowedIps, text.split(",").map((network) => parseCidr(network.trim()))),
  },
  {
    name: "Endpoint",
    rule: 'a host and a port such as "example.com:51820" or "[2001:db8::1]:51820"',
    set: (peer, text) => assign(peer, "endpoint", endpointFrom(text)),
  },
  {
    name: "PersistentKeepalive",
    rule: '"off" or a number of seconds from 0 to 65535',
    set: (peer, text) =>
      assign(peer, "persistentKeepaliveS", text.toLowerCase() === "off" ? 0 : numberFrom(text, 65535)),
  },
];

/** A value for an error's text, unless a key may have got there by mistake. */
function shown(value: string): string {
  return /[A-Za-z0-9+/=]{20}/.test(value) || value.length > 100 ? "something long" : JSON.stringify(value);
}

function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

function pushAll<T>(list: T[], values: readonly (T | undefined)[]): boolean {
  for (const value of values) {
    if (value === undefined) return false;
    list.push(value);
  }
  return true;
}

function pushCommand(commands: string[], text: string): boolean {
  if (text !== "") commands.push(text);
  return true;
}

/** What looks like an address must be one; everything else is a domain, "~" marking one only for routing queries. */
function pushDns(config: Draft<QuickConfig>, word: string): boolean {
  if (/^[\d.]+$|:/.test(word)) return pushAll(config.dnsServers, [parseIp(word)]);
  if (!/^~?[A-Za-z0-9_.-]{1,254}$/.test(word)) return false;
  config.dnsSearchDomains.push(word);
  return true;
}

function addressFrom(text: string): InterfaceAddress | undefined {
  const network = parseCidr(text);
  return network && { address: parseIp(text.split("/", 1)[0]!)!, bits: network.bits };
}

function markFrom(text: string): number | undefined {
  if (text.toLowerCase() === "off") return 0;
  return /^0x[0-9A-Fa-f]{1,8}$/.test(text) ? Number(text) : numberFrom(text, 0xffffffff);
}

function mtuFrom(text: string): number | undefined {
  const mtu = numberFrom(text, MAX_MTU);
  return mtu !== undefined && mtu >= MIN_MTU ? mtu : undefined;
}

function tableFrom(text: string): QuickConfig["table"] | undefined {
  if (text === "auto" || text === "off") return text;
  return NAMED_TABLES.get(text) ?? (numberFrom(text, 0xffffffff) || undefined);
}

function booleanFrom(text: string): boolean | undefined {
  return text === "true" || text === "false" ? text === "true" : undefined;
}

function endpointFrom(text: string): Target | undefined {
  const target = splitHostAndPort(text);
  if (!target || target.port === 0) return undefined;
  const [name, zone] = target.host.split("%") as [string, string?];
  const host = parseHost(name);
  if (host === undefined) return undefined;
  return { host: `${typeof host === "string" ? host : formatIp(host)}${zone ? `%${zone}` : ""}`, port: target.port };
}
