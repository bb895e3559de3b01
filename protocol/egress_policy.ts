/**
 * What an egress may reach, and how much. Pure: a policy answers questions, `net/egress.ts` asks them. Design §7.
 *
 *   name, port ──checkName──▶ resolve ──▶ each address, port ──checkAddress──▶ dial exactly that address
 *
 * Both answer undefined when nothing forbids it, or a Refusal. The order within each:
 * - name: the port (25 is closed for ever), then the first host rule that matches; no match is allowed.
 * - address: the port, the denied networks, the addresses opened by name, then the class: public is open unless it is
 *   this machine's own, everything else is closed. An IPv6 address that carries an IPv4 one is open only if both are.
 *
 * Host rules never open an address: whoever owns a name chooses where it points.
 */

import { CulvertError } from "./errors.ts";
import { type PolicyFile, policySchema, type PolicySettings, type PortRange } from "./egress_policy_file.ts";
import { type Cidr, contains, type IpAddress } from "./ip.ts";
import { classify, embeddedIpv4, type IpClass } from "./ip_class.ts";

/** Mail between servers. An egress that carries it is a spam relay and its address is soon blocked everywhere. */
const SMTP_PORT = 25;

/**
 * Closed unless the file says which ports to allow: mail submission, which is spam's other way out (465, 587), and
 * Windows file sharing, which has no business on the internet and is what worms look for (135, 137–139, 445).
 */
const DEFAULT_DENIED_PORTS: readonly PortRange[] = [[135, 135], [137, 139], [445, 445], [465, 465], [587, 587]];
const ALL_PORTS: readonly PortRange[] = [[1, 65535]];

export type RefusalCode =
  | "port_closed"
  | "host_denied" // a host rule
  | "address_denied" // a denied network
  | "address_closed"; // the address's class

/** Why not. The sentence names the rule's kind, never the address a name led to. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

/** A set of addresses, such as those of this machine. */
export interface AddressSet {
  has(address: IpAddress): boolean;
}

/** What decides about addresses and ports, for what holds packets against it by other means than the checks here. */
export interface AddressRules {
  readonly openNetworks: readonly Cidr[];
  readonly openClasses: ReadonlySet<IpClass | "own">;
  readonly deniedNetworks: readonly Cidr[];
}

/** Ceilings; absent is unlimited. */
export interface PolicyLimits {
  readonly maxConnections?: number | undefined;
  readonly maxConnectionsPerSecond?: number | undefined;
  readonly maxUploadBytesPerSecond?: number | undefined;
  readonly maxDownloadBytesPerSecond?: number | undefined;
  readonly maxDatagramSockets: number;
}

/** What traffic may do that leaves here. Made by `policyOf`, or read from a file by `loadPolicy`. */
export class EgressPolicy {
  /**
   * What it was made from, for whoever makes a narrower one of it.
   *
   * @internal
   */
  readonly settings: PolicySettings;
  /**
   * How much at once, and how fast.
   *
   * @internal
   */
  readonly limits: PolicyLimits;
  /** Whether a new policy closes what it would not have allowed. */
  readonly closeOnReload: boolean;
  /**
   * Which addresses are open.
   *
   * @internal
   */
  readonly addressRules: AddressRules;
  readonly #allowedPorts: readonly PortRange[];
  readonly #deniedPorts: readonly PortRange[];
  readonly #hosts: PolicySettings["hosts"];

  /**
   * Takes what a schema has checked.
   *
   * @internal
   */
  constructor(settings: PolicySettings) {
    const { limits, ports } = settings;
    this.settings = settings;
    this.limits = {
      maxConnections: limits.max_connections,
      maxConnectionsPerSecond: limits.max_connections_per_second,
      maxUploadBytesPerSecond: limits.max_upload_bytes_per_second,
      maxDownloadBytesPerSecond: limits.max_download_bytes_per_second,
      maxDatagramSockets: limits.max_datagram_sockets,
    };
    this.closeOnReload = settings.close_on_reload;
    this.addressRules = {
      openNetworks: settings.allow_addresses.filter((rule) => typeof rule === "object"),
      openClasses: new Set(settings.allow_addresses.filter((rule) => typeof rule === "string")),
      deniedNetworks: settings.deny_addresses,
    };
    this.#allowedPorts = ports.allow ?? ALL_PORTS;
    this.#deniedPorts = ports.deny ?? (ports.allow ? [] : DEFAULT_DENIED_PORTS);
    this.#hosts = settings.hosts;
  }

  /**
   * Whether a host may be dialled, before it is resolved. `host` as `parseHost` gives it, an address as text.
   *
   * @internal
   */
  checkName(host: string, port: number): Refusal | undefined {
    if (!this.isPortOpen(port)) return portClosed(port);
    const rule = this.#hosts.find((rule) => matchesHost(rule.pattern, host));
    return rule?.action === "deny" ? HOST_DENIED : undefined;
  }

  /**
   * Whether an address may be dialled. `own` are this machine's addresses.
   *
   * @internal
   */
  checkAddress(address: IpAddress, port: number, own?: AddressSet): Refusal | undefined {
    if (!this.isPortOpen(port)) return portClosed(port);
    const { openNetworks, openClasses, deniedNetworks } = this.addressRules;
    if (deniedNetworks.some((network) => contains(network, address))) return ADDRESS_DENIED;
    const ipClass = classify(address);
    const isOpened = openClasses.has(ipClass) || openNetworks.some((network) => contains(network, address));
    if (isOpened) {
      const inner = ipClass === "public" ? undefined : embeddedIpv4(address);
      return inner && this.checkAddress(inner, port, own);
    }
    if (ipClass !== "public") return addressClosed(ipClass);
    if (own && !openClasses.has("own") && own.has(address)) return addressClosed("own");
    return undefined;
  }

  /** Whether any host rule denies something: `all` when the one for every host that no other rule matches does. */
  get deniedHosts(): "none" | "some" | "all" {
    const last = this.#hosts.find(({ pattern }) => pattern === "*");
    if (last?.action === "deny") return "all";
    return this.#hosts.some(({ action }) => action === "deny") ? "some" : "none";
  }

  /** Whether anything may be dialled on that port. */
  isPortOpen(port: number): boolean {
    if (port === SMTP_PORT || !Number.isInteger(port)) return false;
    return inRanges(this.#allowedPorts, port) && !inRanges(this.#deniedPorts, port);
  }
}

/** A problem in a policy file: where, and a sentence that begins with the path of the key. */
export interface PolicyProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Set when the key itself is unknown: those that would have been right there. */
  readonly knownKeys?: readonly string[];
}

/** Makes a policy from what a policy file holds, or says everything that is wrong with it. */
export function readPolicy(file: unknown): EgressPolicy | readonly PolicyProblem[] {
  const result = policySchema.safeParse(file);
  return result.success ? new EgressPolicy(result.data) : result.error.issues.flatMap(problemsOf);
}

/** Makes a policy from code; `policyOf()` is the default one. */
export function policyOf(file: PolicyFile = {}): EgressPolicy {
  const policy = readPolicy(file);
  if (policy instanceof EgressPolicy) return policy;
  throw new CulvertError("bad_policy", `Cannot make a policy: ${policy.map((problem) => problem.message).join("; ")}`);
}

type Issue = NonNullable<ReturnType<typeof policySchema.safeParse>["error"]>["issues"][number];

function problemsOf(issue: Issue): PolicyProblem[] {
  const path = issue.path as (string | number)[];
  if (issue.code !== "unrecognized_keys") return [{ path, message: `${pathText(path)} ${issue.message}` }];
  return issue.keys.map((key) => ({
    path: [...path, key],
    message: `${pathText([...path, key])} is not a known key`,
    knownKeys: keysAt(path),
  }));
}

/** `hosts[2]`, `ports.allow[0]`; the file itself has no name. */
function pathText(path: readonly (string | number)[]): string {
  if (path.length === 0) return "the file";
  return path.map((step, at) => typeof step === "number" ? `[${step}]` : at === 0 ? step : `.${step}`).join("");
}

function keysAt(path: readonly (string | number)[]): readonly string[] {
  const { shape } = policySchema;
  if (path[0] === "ports") return Object.keys(shape.ports.unwrap().shape);
  if (path[0] === "limits") return Object.keys(shape.limits.unwrap().shape);
  return Object.keys(shape);
}

/** A policy that may change while it is in use. */
export interface PolicySource {
  /** The policy of this moment. */
  readonly current: EgressPolicy;
  /** Calls `listener` after every change until the returned handle is disposed. */
  subscribe(listener: () => void): Disposable;
}

function inRanges(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(([first, last]) => port >= first && port <= last);
}

/** A pattern is a host, `*.suffix` for everything below a name (not the name itself), or `*`. */
function matchesHost(pattern: string, host: string): boolean {
  return pattern === host || pattern === "*" || (pattern.startsWith("*.") && host.endsWith(pattern.slice(1)));
}

const HOST_DENIED: Refusal = { code: "host_denied", message: "a host rule denies it" };
const ADDRESS_DENIED: Refusal = { code: "address_denied", message: "its network is denied" };

function portClosed(port: number): Refusal {
  return { code: "port_closed", message: `port ${port} is closed` };
}

function addressClosed(ipClass: IpClass | "own"): Refusal {
  const what = ipClass === "own" ? "the egress's own" : ipClass;
  return { code: "address_closed", message: `${what} addresses are closed` };
}
