/**
 * Who has a port that a service should have: the kernel's table tells the socket's number, and the process is the one that
 * has it among its open files. Of several that share it, as a server's workers do, it is the one with the lowest pid. Those
 * of other users are seen by root alone.
 */

import { keepsOthersFrom } from "../../protocol/bound_socket.ts";
import type { ServicePort } from "../../protocol/manager/service.ts";
import { allPids, readProcStat } from "../../native/proc_files.ts";
import type { TcpTable } from "../../native/tcp_table.ts";
import type { PortOwner } from "./checks.ts";

/** Undefined when nobody has it, or nobody that we may see. */
export async function findPortOwner(sockets: TcpTable, { kind, at }: ServicePort): Promise<PortOwner | undefined> {
  const taken = sockets.bound().filter((socket) => keepsOthersFrom(socket, kind, at));
  if (taken.length === 0) return undefined;
  const links = new Set(taken.map(({ inode }) => `socket:[${inode}]`));
  for (const pid of allPids().sort((one, other) => one - other)) {
    if (!await hasOpen(pid, links)) continue;
    const program = readProcStat(pid)?.name;
    if (program !== undefined) return { pid, program };
  }
  return undefined;
}

/** One file after another, and others have their turn between them: there may be many thousands. */
async function hasOpen(pid: number, links: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (links.has(await Deno.readLink(`${folder}/${name}`).catch(() => ""))) return true;
    }
  } catch {
    // It has gone, or is not ours to look at.
  }
  return false;
}
