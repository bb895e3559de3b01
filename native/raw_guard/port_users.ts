/**
 * Who has a local TCP port, as the kernel and the processes' open files tell: /proc/net/tcp and tcp6, whose lines are
 *
 *   sl local_address rem_address st … uid timeout inode      addresses as `0100007F:1F90`, a word at a time in host order
 *
 * Sockets that are bound and neither listen nor are connected are in neither file, so there may be nobody to name.
 */

import { formatIp } from "../../protocol/ip.ts";

const STATES = [
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
] as const;
export type TcpState = typeof STATES[number];

export interface PortUser {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly state: TcpState;
  /** The socket's number; 0 when no process has it any more. */
  readonly inode: number;
  /** `nginx (4711)`, when we may look. */
  readonly process?: string;
}

/** The sockets of a port in this thread's network namespace, those that listen first. */
export function portUsers(port: number): PortUser[] {
  const users = ["tcp", "tcp6"].flatMap((file) => readPortUsers(textOf(`/proc/thread-self/net/${file}`)))
    .filter(({ localPort }) => localPort === port)
    .toSorted((a, b) => Number(b.state === "LISTEN") - Number(a.state === "LISTEN"));
  const first = users[0];
  if (!first || first.inode === 0) return users;
  const process = processOf(first.inode);
  return process === undefined ? users : [{ ...first, process }, ...users.slice(1)];
}

/** Whoever listens, or the first of those connected, in words. */
export function userText([user]: readonly PortUser[]): string {
  if (!user) return "a socket of some process holds it";
  const who = user.process ?? "some process";
  const local = `${user.localAddress}:${user.localPort}`;
  if (user.state === "LISTEN") return `${who} listens on ${local}`;
  return `${who} has a connection from ${local} to ${user.remoteAddress}:${user.remotePort} (${user.state})`;
}

/** The lines of one of the files; what is not as expected is left out. */
export function readPortUsers(text: string): PortUser[] {
  return text.split("\n").slice(1).map(readLine).filter((user) => user !== undefined);
}

function readLine(line: string): PortUser | undefined {
  const fields = line.trim().split(/\s+/);
  const local = readEndpoint(fields[1] ?? "");
  const remote = readEndpoint(fields[2] ?? "");
  const state = STATES[parseInt(fields[3] ?? "", 16) - 1];
  if (!local || !remote || !state) return undefined;
  return {
    localAddress: local.address,
    localPort: local.port,
    remoteAddress: remote.address,
    remotePort: remote.port,
    state,
    inode: Number(fields[9] ?? 0) || 0,
  };
}

function readEndpoint(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/i.exec(text);
  if (!match) return undefined;
  const bytes = Uint8Array.fromHex(match[1]!);
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  const address = formatIp(bytes);
  return { address: bytes.length === 16 ? `[${address}]` : address, port: parseInt(match[2]!, 16) };
}

/** Name and number of the process that has the socket; undefined when it is not ours to see. */
function processOf(inode: number): string | undefined {
  const socket = `socket:[${inode}]`;
  for (const pid of namesIn("/proc").filter((name) => /^\d+$/.test(name))) {
    const directory = `/proc/${pid}/fd`;
    if (!namesIn(directory).some((fd) => linkOf(`${directory}/${fd}`) === socket)) continue;
    return `${textOf(`/proc/${pid}/comm`).trim() || "process"} (${pid})`;
  }
  return undefined;
}

function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
