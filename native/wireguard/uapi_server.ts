/**
 * Offers a device at the usual socket, so that the stock `wg show`, `wg set` and `wg syncconf` work on it.
 *
 *   connection ─▶ requests, one after another ─▶ device.status() / device.configure() ─▶ answers
 *
 * Only its owner may connect (umask 077). A socket left by a killed process is noticed by nobody answering there, and
 * replaced. Who deletes the socket file asks the device to end, which `removed` tells. Connections are few by nature and
 * bounded: one too many is closed at once. Requests are bounded by their reader.
 */

import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { writeAll } from "../../protocol/stream.ts";
import { formatErrno, formatStatus } from "../../protocol/wireguard/uapi.ts";
import { type UapiRequest, UapiRequestReader } from "../../protocol/wireguard/uapi_request.ts";
import { Errno } from "../errno.ts";
import { removeIfThere } from "../remove_if_there.ts";
import type { WireGuardDevice } from "./device.ts";
import { inodeOf, removeStaleSocket, SocketWatch, systemScopes, UAPI_DIRECTORY, uapiPathOf } from "./uapi_socket.ts";

const MAX_CONNECTIONS = 32;
const READ_BYTES = 16 * 1024;

export interface UapiServerOptions {
  readonly log?: Log;
  readonly directory?: string;
}

export interface UapiServer extends AsyncDisposable {
  readonly path: string;
  /** Settles when somebody has removed the socket file, and when the server ends. */
  readonly removed: Promise<void>;
  /** Ends every connection and takes the socket away. The second time harmless. */
  close(): Promise<void>;
}

/** Serves a device until closed. Rejects with `in_use` when another program answers for that interface. */
export async function serveUapi(device: WireGuardDevice, options: UapiServerOptions = {}): Promise<UapiServer> {
  const { log = silentLog, directory = UAPI_DIRECTORY } = options;
  const path = uapiPathOf(device.interfaceName, directory);
  await Deno.mkdir(directory, { recursive: true, mode: 0o755 });
  if (!await removeStaleSocket(path)) {
    throw new CulvertError("in_use", `Cannot serve ${path}: it must be free, and another program answers there`);
  }
  using opened = new DisposableStack();
  const watch = opened.use(new SocketWatch(path));
  const listener = opened.use(listenPrivately(path));
  watch.expect();
  const server = new SocketServer(device, { path, watch, listener, log });
  opened.move();
  return server;
}

/** The mask is the process's own, and nothing else runs between its change and its return. */
function listenPrivately(path: string): Deno.UnixListener {
  const before = Deno.umask(0o077);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    Deno.umask(before);
  }
}

interface Serving {
  readonly path: string;
  readonly watch: SocketWatch;
  readonly listener: Deno.UnixListener;
  readonly log: Log;
}

class SocketServer implements UapiServer {
  readonly path: string;
  readonly removed: Promise<void>;
  readonly #device: WireGuardDevice;
  readonly #serving: Serving;
  readonly #inode: number | undefined;
  readonly #connections = new Map<Deno.UnixConn, Promise<void>>();
  readonly #accepting: Promise<void>;
  #closed: Promise<void> | undefined;

  constructor(device: WireGuardDevice, serving: Serving) {
    this.path = serving.path;
    this.removed = serving.watch.gone;
    this.#device = device;
    this.#serving = serving;
    this.#inode = inodeOf(serving.path);
    this.#accepting = this.#accept();
  }

  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { watch, listener, path } = this.#serving;
    watch[Symbol.dispose]();
    listener[Symbol.dispose]();
    for (const conn of this.#connections.keys()) closeQuietly(conn);
    // One that took its place is another's.
    if (inodeOf(path) === this.#inode) await removeIfThere(path);
    await Promise.all([this.#accepting, ...this.#connections.values()]);
  }

  /** A listener that fails, as when the process has no descriptors left, ends the serving and not the device. */
  async #accept(): Promise<void> {
    const { listener, log } = this.#serving;
    try {
      for await (const conn of listener) this.#take(conn);
    } catch (error) {
      log.error("The device's socket takes no more connections", { error: messageOf(error) });
      listener[Symbol.dispose]();
    }
  }

  #take(conn: Deno.UnixConn): void {
    if (this.#closed) return conn.close();
    if (this.#connections.size >= MAX_CONNECTIONS) {
      this.#serving.log.warn("Too many connections at the device's socket; one is turned away");
      return conn.close();
    }
    const served = this.#serve(conn).finally(() => this.#connections.delete(conn));
    this.#connections.set(conn, served);
  }

  async #serve(conn: Deno.UnixConn): Promise<void> {
    const reader = new UapiRequestReader({ scopeOf: systemScopes });
    const buffer = new Uint8Array(READ_BYTES);
    const encoder = new TextEncoder();
    try {
      for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
        for (const request of reader.read(buffer.subarray(0, count))) {
          await writeAll(conn, encoder.encode(await this.#answer(request)));
          if (request.kind === "bad" && request.isLast) return;
        }
      }
    } catch (error) {
      if (!this.#closed) {
        this.#serving.log.debug("A connection at the device's socket broke", { error: messageOf(error) });
      }
    } finally {
      closeQuietly(conn);
    }
  }

  async #answer(request: UapiRequest): Promise<string> {
    if (request.kind === "bad") {
      this.#serving.log.debug("A request at the device's socket makes no sense", { reason: request.reason });
      return formatErrno(request.errno);
    }
    try {
      if (request.kind === "get") return formatStatus(await this.#device.status());
      await this.#device.configure(request.change);
      return formatErrno(0);
    } catch (error) {
      this.#serving.log.warn("A request at the device's socket failed", { error: messageOf(error) });
      return formatErrno(errnoOf(error));
    }
  }
}

/** The code of a `SysError` is its error number's name, also after it has come from a Worker. */
function errnoOf(error: unknown): number {
  const numbers: Readonly<Record<string, number>> = Errno;
  return error instanceof Error && "code" in error ? numbers[String(error.code)] ?? Errno.EIO : Errno.EIO;
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
