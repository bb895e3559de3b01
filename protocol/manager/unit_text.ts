/**
 * A service as a unit of systemd (systemd.service(5), systemd.exec(5)), which gives it only what it needs.
 *
 *   # culvert-unit sha256=…        of all that follows: a unit that somebody has edited is known by it, and kept
 *   [Unit] …  [Service] …
 *
 * It is started, restarted and given up by the manager alone, so systemd restarts nothing and limits no starts. What a
 * service may use is bounded above its own limits: the manager sees it beyond those and restarts it in an orderly way first.
 * `MemoryDenyWriteExecute=` is not set: V8 writes the machine code that it runs. `ProcSubset=pid` is not either: V8 and Deno
 * read what the machine has from /proc.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { CulvertError } from "../errors.ts";
import { NOTIFY_WATCHDOG_MS } from "./notify_text.ts";
import { needsOf, type ProgramNeeds } from "./program_needs.ts";
import type { Service } from "./service.ts";

export interface UnitOptions {
  /** Holds the service's environment, readable by root alone; units can be read by everybody. */
  readonly environmentFile: string;
}

const HEADER = /^# culvert-unit sha256=([0-9a-f]{64})\n/;
/** What systemd holds it to, of what the service's own limit is. */
const ROOM_ABOVE_LIMITS = 1.25;
/** A proxy has two for each connection. */
const DEFAULT_OPEN_FILES = 262_144;
/** The manager gives up on a start long before. */
const START_TIMEOUT_ROOM_S = 30;
const STATE_ROOT = "/var/lib/";

/** The manager's own. */
export const MANAGER_UNIT = "culvert-manager.service";

/** What every unit is called. */
export function unitNameOf(serviceName: string): string {
  return `culvert-${serviceName}.service`;
}

/** The whole unit. Throws `bad_path` for a path that no unit can name. */
export function unitText(service: Service, options: UnitOptions): string {
  const needs = needsOf(service);
  return signedUnit([
    ["Unit", unitLines(service)],
    ["Service", [
      ...processLines(service, options),
      ...stateLines(service, needs),
      ...limitLines(service),
      ...sandboxLines(needs, homeProtectionOf(placesOf(service))),
    ]],
  ]);
}

/** Whether somebody has changed it since we have written it, or we have not. */
export function isEdited(text: string): boolean {
  const [header, hash] = HEADER.exec(text) ?? [];
  return header === undefined || hash !== hashOf(text.slice(header.length));
}

export type UnitSection = readonly [name: string, lines: readonly string[]];

/** A unit of ours with its header. */
export function signedUnit(sections: readonly UnitSection[]): string {
  const body = "# Made by culvert from its service file; edited by hand, it is kept as it is.\n" +
    sections.map(([name, lines]) => `\n[${name}]\n${lines.map((line) => `${line}\n`).join("")}`).join("");
  return `# culvert-unit sha256=${hashOf(body)}\n${body}`;
}

function hashOf(text: string): string {
  return bytesToHex(sha256(new TextEncoder().encode(text)));
}

function unitLines({ description, name }: Service): string[] {
  return [
    `Description=${plain(description || `Culvert service ${name}`)}`,
    "Wants=network-online.target",
    "After=network-online.target",
    // What comes before ends after (systemd.unit(5)): a machine that is shut down takes no service from under its manager.
    `Before=${MANAGER_UNIT}`,
    "StartLimitIntervalSec=0",
  ];
}

function processLines(service: Service, { environmentFile }: UnitOptions): string[] {
  const { watchdog } = service;
  const startMs = watchdog.settleMs + watchdog.startTimeoutMs;
  return [
    ...service.notifies
      ? ["Type=notify", "NotifyAccess=main", `WatchdogSec=${NOTIFY_WATCHDOG_MS / 1000}`]
      : ["Type=exec"],
    `ExecStart=${service.command.map(commandWord).join(" ")}`,
    ...service.user === undefined ? [] : [`User=${plain(service.user)}`],
    ...service.directory === undefined ? [] : [`WorkingDirectory=${path(service.directory)}`],
    ...Object.keys(service.environment).length === 0 ? [] : [`EnvironmentFile=${path(environmentFile)}`],
    "Restart=no",
    "KillMode=mixed",
    `TimeoutStartSec=${Math.ceil(startMs / 1000) + START_TIMEOUT_ROOM_S}`,
    `TimeoutStopSec=${Math.ceil(watchdog.stopTimeoutMs / 1000)}`,
  ];
}

/**
 * Where it keeps what: below /var/lib systemd makes it and gives it to the service's user. Beside the manager's /var/lib/culvert,
 * not in it, where nobody else may look.
 */
function stateLines(service: Service, { writable }: ProgramNeeds): string[] {
  const given = argumentOf(service, "--state-dir") ?? service.environment.CULVERT_STATE_DIR;
  const isSystemd = given === undefined || isBelow(given, STATE_ROOT);
  const paths = [...writable, ...isSystemd ? [] : [given]];
  return [
    ...isSystemd
      ? [`StateDirectory=${quoted(path(given?.slice(STATE_ROOT.length) ?? `culvert-${service.name}`))}`]
      : [],
    ...isSystemd ? ["StateDirectoryMode=0700"] : [],
    ...paths.map((place) => `ReadWritePaths=${quoted(`-${path(place)}`)}`),
  ];
}

function limitLines({ limits }: Service): string[] {
  const above = (limit: number) => Math.ceil(limit * ROOM_ABOVE_LIMITS);
  return [
    ...limits.memoryBytes === undefined ? [] : [`MemoryMax=${above(limits.memoryBytes)}`],
    `LimitNOFILE=${limits.openFiles === undefined ? DEFAULT_OPEN_FILES : above(limits.openFiles)}`,
    // Memory holds keys.
    "LimitCORE=0",
  ];
}

/** The rights and surroundings of a process with these needs. */
export function sandboxLines(needs: ProgramNeeds, home: HomeProtection): string[] {
  const capabilities = needs.capabilities.map(plain).join(" ");
  return [
    "NoNewPrivileges=yes",
    `CapabilityBoundingSet=${capabilities}`,
    `AmbientCapabilities=${capabilities}`,
    "ProtectSystem=strict",
    `ProtectHome=${home}`,
    "PrivateTmp=yes",
    ...needs.devices.length === 0
      ? ["PrivateDevices=yes"]
      : ["DevicePolicy=closed", ...needs.devices.map((device) => `DeviceAllow=${device} rw`)],
    `ProtectKernelTunables=${needs.changesKernelSettings ? "no" : "yes"}`,
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "UMask=0077",
    `RestrictAddressFamilies=${["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", ...needs.addressFamilies].join(" ")}`,
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
  ];
}

export type HomeProtection = "yes" | "read-only";

/** Homes are out of sight, unless something of the program's lies there, be it only named by a flag (`--key=/root/key`). */
export function homeProtectionOf(places: readonly string[]): HomeProtection {
  return places.some((place) => /(^|=)\/(root|home)(\/|$)/.test(place)) ? "read-only" : "yes";
}

/** What may lie in somebody's home: the program, what it is told of, its caches. */
function placesOf({ command, directory, environment }: Service): string[] {
  return [...command, ...directory === undefined ? [] : [directory], ...Object.values(environment)];
}

function argumentOf({ command }: Service, flag: string): string | undefined {
  const at = command.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  const word = command[at];
  return word === undefined ? undefined : word === flag ? command[at + 1] : word.slice(flag.length + 1);
}

function isBelow(place: string, root: string): boolean {
  return place.startsWith(root) && place.length > root.length && !place.split("/").includes("..");
}

/** One word of a command line, whatever is in it: no specifier, no variable, no second word. */
export function commandWord(word: string): string {
  return quoted(plainPercent(word).replaceAll("$", "$$$$"));
}

/** One value, whatever is in it: line ends would begin another setting. */
export function quoted(word: string): string {
  const hex = (character: string) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return `"${word.replaceAll(/[\\"]/g, "\\$&").replaceAll(/\p{Cc}/gu, hex)}"`;
}

/** What systemd takes to the end of the line, without quotes. */
function plain(text: string): string {
  return plainPercent(text.replaceAll(/[\p{Cc}\s]+/gu, " ")).trim().replace(/\\+$/, "");
}

function path(place: string): string {
  if (/\p{Cc}|\\$/u.test(place)) {
    const shown = JSON.stringify(place);
    throw new CulvertError(
      "bad_path",
      `Cannot make a unit: a path must have no control characters and no backslash at its end, got ${shown}`,
    );
  }
  return plainPercent(place);
}

/** Without specifiers. */
export function plainPercent(text: string): string {
  return text.replaceAll("%", "%%");
}
