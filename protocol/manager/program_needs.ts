/**
 * What a service's program needs of the kernel and of the machine's files, so that its unit gives it that and nothing more.
 *
 *   role and arguments ─▶ packets that it makes itself: CAP_NET_RAW, and CAP_NET_ADMIN for the rules that guard them
 *                         interfaces, routes, rules:    CAP_NET_ADMIN, /dev/net/tun, the kernel's settings, /run
 *                         ports below 1024:             CAP_NET_BIND_SERVICE
 *
 * Only the command line and the environment are looked at: what a configuration file says is not known here, so a role that
 * reads one may do what that might ask for, unless the service's file names the capabilities (`capabilities = []`). What
 * nobody knows of a program is said there as well.
 */

import type { Service } from "./service.ts";

export interface ProgramNeeds {
  readonly capabilities: readonly string[];
  /** Beside the usual ones. */
  readonly devices: readonly string[];
  /** Beside Unix, IPv4, IPv6 and netlink. */
  readonly addressFamilies: readonly string[];
  /** Beside its state directory. */
  readonly writable: readonly string[];
  /** Whether it changes settings in /proc/sys. */
  readonly changesKernelSettings: boolean;
}

const NOTHING: ProgramNeeds = {
  capabilities: [],
  devices: [],
  addressFamilies: [],
  writable: [],
  changesKernelSettings: false,
};

const OWN_PACKETS: ProgramNeeds = {
  ...NOTHING,
  capabilities: ["CAP_NET_ADMIN", "CAP_NET_RAW"],
  addressFamilies: ["AF_PACKET"],
};

/** Its notes of what it has changed, and the sockets and name servers of interfaces, all lie below /run. */
const INTERFACES: ProgramNeeds = {
  capabilities: ["CAP_NET_ADMIN", "CAP_NET_RAW"],
  devices: ["/dev/net/tun"],
  addressFamilies: ["AF_PACKET"],
  writable: ["/run"],
  changesKernelSettings: true,
};

/** Programs of others that the manager is made for, by the names of their files. */
const externalPrograms: ReadonlyMap<string, ProgramNeeds> = new Map([
  ["paqet", OWN_PACKETS],
  ["gfk", OWN_PACKETS],
]);

const FIRST_PORT_FOR_ALL = 1024;

/** What the service needs in all. */
export function needsOf(service: Service): ProgramNeeds {
  const known = service.role === undefined ? needsOfProgram(service) : needsOfRole(service.role, service);
  const hasLowPort = service.listen.some(({ at }) => at.port < FIRST_PORT_FOR_ALL);
  const capabilities = new Set([
    ...known.capabilities,
    ...hasLowPort ? ["CAP_NET_BIND_SERVICE"] : [],
    ...service.capabilities ?? [],
  ]);
  const isNamed = (capability: string) => service.capabilities?.includes(capability) ?? false;
  return {
    ...known,
    // A right that is asked for comes with what it is for.
    devices: [...new Set([...known.devices, ...isNamed("CAP_NET_ADMIN") ? ["/dev/net/tun"] : []])],
    addressFamilies: [...new Set([...known.addressFamilies, ...isNamed("CAP_NET_RAW") ? ["AF_PACKET"] : []])],
    capabilities: [...capabilities].toSorted(),
    writable: [...new Set([...known.writable, ...service.writable ?? []])].toSorted(),
  };
}

function needsOfProgram({ command: [program] }: Service): ProgramNeeds {
  return externalPrograms.get(program.slice(program.lastIndexOf("/") + 1)) ?? NOTHING;
}

/** What a role needs, all of whose settings are known: each is a flag, `--carrier=raw`. */
export function needsOfFlags(role: string, flags: readonly string[]): ProgramNeeds {
  return needsOfRole(role, { role, command: [role, ...flags], environment: {} });
}

type RoleWords = Pick<Service, "role" | "command" | "environment" | "capabilities">;

function needsOfRole(role: string, service: RoleWords): ProgramNeeds {
  switch (role) {
    case "wireguard":
      return INTERFACES;
    case "client":
    case "exit":
      return mayHave(service, "tun") ? INTERFACES : packetsOf(service, false);
    case "supernode":
      return mayHave(service, "terminate") ? INTERFACES : packetsOf(service, false);
    case "kcp-server":
    case "kcp-client":
    case "vtcp-client":
    case "proxy":
      return packetsOf(service, true);
    case "vtcp-server":
      return carrierOf(service) === "udp" || service.capabilities?.includes("CAP_NET_RAW") === false
        ? NOTHING
        : OWN_PACKETS;
    default:
      return packetsOf(service, false);
  }
}

/**
 * By a carrier, or by the scheme of a server or path, not by whatever else is called so; `usually`: whether a file that is not
 * known here may well say so.
 */
function packetsOf(service: RoleWords, usually: boolean): ProgramNeeds {
  const isSaid = ["raw", "both"].includes(carrierOf(service) ?? "") ||
    says(service, /(^|[^a-z0-9+])(kcp\+raw|vtcp):\/\//);
  return isSaid || usually && fileMaySay(service, "CAP_NET_RAW") ? OWN_PACKETS : NOTHING;
}

function carrierOf({ command, environment }: RoleWords): string | undefined {
  const flag = "--carrier";
  const at = command.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  const value = command[at] === flag ? command[at + 1] : command[at]?.slice(flag.length + 1);
  return value ?? environment.CULVERT_CARRIER;
}

/** Whether a switch is on, as far as can be seen. */
function mayHave(service: RoleWords, name: string): boolean {
  const isGiven = service.environment[`CULVERT_${name.toUpperCase()}`] !== undefined;
  return isGiven || says(service, new RegExp(`^--${name}(=true|$)`)) || fileMaySay(service, "CAP_NET_ADMIN");
}

/** A service's file that names capabilities says what the role's own file is about; otherwise that may say anything. */
function fileMaySay(service: RoleWords, capability: string): boolean {
  return service.capabilities?.includes(capability) ?? says(service, /^--config(=|$)/);
}

/** What is behind the role's name is for the role; what is before it is for Deno. */
function says({ role, command, environment }: RoleWords, what: RegExp): boolean {
  const flags = command.slice(command.indexOf(role ?? "") + 1);
  const settings = Object.entries(environment).filter(([name]) => name.startsWith("CULVERT_"));
  return [...flags, ...settings.map(([, value]) => value)].some((word) => what.test(word));
}
