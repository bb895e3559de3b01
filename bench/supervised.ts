/**
 * What supervisors are measured with: a program that listens, the smallest there is everywhere, and how long it takes until
 * another listens in the place of one that was killed. Who listens is read from the kernel's table, so that nobody is slowed
 * by being looked at, and nothing has to be known of who supervises.
 */

import { clockOf, delay } from "../protocol/clock.ts";
import { isBoundAt } from "../protocol/bound_socket.ts";
import type { ServicePort } from "../protocol/manager/service.ts";
import { isGone, readCommandLine } from "../native/proc_files.ts";
import type { TcpTable } from "../native/tcp_table.ts";
import { findPortOwner } from "../roles/manager/port_owner.ts";
import { freePort } from "../testing/program.ts";
import { findTool } from "../testing/requirements.ts";

const HOST = "127.0.0.1";
/** Every supervisor takes one that has just started for another case. */
const SETTLED_MS = 2_500;
const LOOK_MS = 1;
const GIVE_UP_MS = 60_000;

export interface Listener {
  readonly port: number;
  readonly command: readonly [string, ...string[]];
}

/** So many, on ports of their own; `folder` is what they serve, though nobody asks. */
export function listeners(count: number, folder: string): Listener[] {
  const busybox = findTool("busybox");
  if (busybox === undefined) throw new Error("Cannot measure supervisors: busybox must be installed (tests/setup.sh)");
  const ports = new Set<number>();
  while (ports.size < count) ports.add(freePort());
  return [...ports].map((port) => ({
    port,
    command: [busybox, "httpd", "-f", "-p", `${HOST}:${port}`, "-h", folder],
  }));
}

/** Watches listeners, whoever runs them. */
export class Listening {
  readonly #sockets: TcpTable;
  readonly #clock = clockOf(globalThis);

  /** The table stays the caller's. */
  constructor(sockets: TcpTable) {
    this.#sockets = sockets;
  }

  /** Settles once something listens there, other than `before`; gives the number of its socket. */
  async awaited({ port }: Listener, before?: number): Promise<number> {
    const untilMs = this.#clock.now() + GIVE_UP_MS;
    for (;;) {
      const inode = this.#inodeAt(port);
      if (inode !== undefined && inode !== before) return inode;
      if (this.#clock.now() > untilMs) throw new Error(`Cannot measure: nothing listens on port ${port}`);
      await delay(this.#clock, LOOK_MS);
    }
  }

  /** Milliseconds from the program's start to its listening, nobody supervising. */
  async ownStartMs(listener: Listener): Promise<number> {
    const [program, ...args] = listener.command;
    const startMs = this.#clock.now();
    const child = new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    try {
      await this.awaited(listener);
      return this.#clock.now() - startMs;
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
  }

  /** Kills what listens there, and gives the milliseconds until another does. `onKill` is called at that moment. */
  async restartMs(listener: Listener, onKill: () => void = () => {}): Promise<number> {
    const before = await this.awaited(listener);
    await delay(this.#clock, SETTLED_MS);
    const pid = await this.#pidAt(listener);
    if (pid === undefined) throw new Error(`Cannot measure: nobody is known to listen on port ${listener.port}`);
    const killedMs = this.#clock.now();
    Deno.kill(pid, "SIGKILL");
    onKill();
    await this.awaited(listener, before);
    return this.#clock.now() - killedMs;
  }

  /** Ends what still listens there, once nobody supervises it any more. */
  async end(listener: Listener): Promise<void> {
    const pid = await this.#pidAt(listener);
    try {
      if (pid !== undefined) Deno.kill(pid, "SIGKILL");
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Only a process of the benchmark's: a port that is free again may be somebody else's by now. */
  async #pidAt({ port, command }: Listener): Promise<number | undefined> {
    const pid = (await findPortOwner(this.#sockets, portOf(port)))?.pid;
    const words = pid === undefined ? undefined : readCommandLine(pid);
    const isOurs = words?.includes(`${HOST}:${port}`) && words.every((word) => command.includes(word));
    return isOurs ? pid : undefined;
  }

  #inodeAt(port: number): number | undefined {
    const { kind, at } = portOf(port);
    return this.#sockets.bound().find((socket) => isBoundAt(socket, kind, at))?.inode;
  }
}

function portOf(port: number): ServicePort {
  return { kind: "tcp", at: { host: HOST, port } };
}
