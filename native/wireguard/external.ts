/**
 * A device that another program runs: wireguard-go, or a culvert elsewhere on this machine. Reached by its UAPI socket, a
 * connection for each request. It is that program's to end; closing only lets go of it.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { writeAll } from "../../protocol/stream.ts";
import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";
import { formatSet, UAPI_GET } from "../../protocol/wireguard/uapi.ts";
import { type UapiReply, UapiReplyReader } from "../../protocol/wireguard/uapi_reply.ts";
import { SysError } from "../errno.ts";
import type { WireGuardDevice } from "./device.ts";
import { SocketWatch, systemScopes, UAPI_DIRECTORY, uapiPathOf } from "./uapi_socket.ts";

const READ_BYTES = 64 * 1024;
const ANSWER_MS = 10_000;

export interface ExternalOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly directory?: string;
  /** How long an answer may take. */
  readonly answerMs?: number;
}

/** Finds a running device; rejects with `no_device` when nobody answers for that interface. */
export async function openExternalDevice(options: ExternalOptions): Promise<WireGuardDevice> {
  const path = uapiPathOf(options.name, options.directory ?? UAPI_DIRECTORY);
  const watch = watchExisting(path, options.name);
  try {
    watch.expect();
    const device = new ExternalDevice(options, path, watch);
    await device.status();
    return device;
  } catch (error) {
    watch[Symbol.dispose]();
    throw error;
  }
}

/** What a device says of itself, asked once. */
export async function externalStatus(options: ExternalOptions): Promise<DeviceStatus> {
  const { status } = await exchange(options, uapiPathOf(options.name, options.directory ?? UAPI_DIRECTORY), UAPI_GET);
  // It tells its private key alone; the public one follows from it.
  if (!status.privateKey) return status;
  return { ...status, publicKey: portablePrimitives.x25519PublicKey(status.privateKey) };
}

class ExternalDevice implements WireGuardDevice {
  readonly backend = "external";
  readonly ended: Promise<Error | undefined>;
  readonly #options: ExternalOptions;
  readonly #path: string;
  readonly #watch: SocketWatch;
  #isClosed = false;

  constructor(options: ExternalOptions, path: string, watch: SocketWatch) {
    this.#options = options;
    this.#path = path;
    this.#watch = watch;
    this.ended = watch.gone.then(() => this.#isClosed ? undefined : noDevice(options.name));
  }

  get interfaceName(): string {
    return this.#options.name;
  }

  async configure(change: DeviceChange): Promise<void> {
    this.#requireOpen();
    await exchange(this.#options, this.#path, formatSet(change));
  }

  async status(): Promise<DeviceStatus> {
    this.#requireOpen();
    return await externalStatus(this.#options);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#watch[Symbol.dispose]();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new CulvertError("closed", `Cannot use ${this.interfaceName}: it has been let go of`);
  }
}

/** Asks and waits for the whole answer; rejects for any but a good one. */
async function exchange(options: ExternalOptions, path: string, request: string): Promise<UapiReply> {
  const { name, clock, answerMs = ANSWER_MS } = options;
  using limit = deadline(clock, answerMs, `ask the device ${name}`);
  using conn = await connect(path, name);
  const cut = () => conn.close();
  limit.signal.addEventListener("abort", cut, { once: true });
  try {
    await writeAll(conn, new TextEncoder().encode(request));
    const reply = await readReply(conn);
    if (!reply) throw new CulvertError("no_answer", `Cannot ask the device ${name}: it ended the connection`);
    if (reply.errno !== 0) throw new SysError(`ask the device ${name}`, "it", reply.errno);
    return reply;
  } catch (error) {
    limit.signal.throwIfAborted();
    throw error;
  } finally {
    limit.signal.removeEventListener("abort", cut);
  }
}

async function readReply(conn: Deno.Conn): Promise<UapiReply | undefined> {
  const reader = new UapiReplyReader({ scopeOf: systemScopes });
  const buffer = new Uint8Array(READ_BYTES);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    const reply = reader.read(buffer.subarray(0, count));
    if (reply) return reply;
  }
  return undefined;
}

async function connect(path: string, name: string): Promise<Deno.UnixConn> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    const isGone = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused;
    throw isGone ? noDevice(name, error) : error;
  }
}

function watchExisting(path: string, name: string): SocketWatch {
  try {
    return new SocketWatch(path);
  } catch (error) {
    throw error instanceof Deno.errors.NotFound ? noDevice(name, error) : error;
  }
}

function noDevice(name: string, cause?: unknown): CulvertError {
  return new CulvertError("no_device", `Cannot reach the device ${name}: no program answers for it`, { cause });
}
