/**
 * A WireGuard device of our own on a TUN interface: the maker, and the main thread's end of it.
 *
 *   configure, status ─▶ message + eventfd ─▶ Worker: main_userspace.ts ─▶ engine.ts (poll loop) ⇄ TUN, UDP
 *
 * The packets never touch the main thread, and what the main thread does never holds up a packet. Needs CAP_NET_ADMIN for
 * the interface. Addresses and routes are not set here.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { checkDeviceChange } from "../../protocol/wireguard/check_change.ts";
import { DEFAULT_MTU } from "../../protocol/wireguard/constants.ts";
import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";
import { type Libc, openLibc } from "../libc.ts";
import { EventFd } from "../poll.ts";
import { errorOf } from "../worker_messages.ts";
import type { WireGuardDevice } from "./device.ts";
import type { FromEngine, ToEngine } from "./engine_messages.ts";

export interface UserspaceOptions {
  /** What the interface shall be called; a `%d` in it is replaced by the first free number. */
  readonly name: string;
  /** Default 1420. */
  readonly mtu?: number;
  readonly log?: Log;
  /** Use the portable primitives even where libcrypto loads. Default false. */
  readonly portableCrypto?: boolean;
  /** Let the kernel hand over and take many packets at once, where it can. Default true. */
  readonly offload?: boolean;
}

/** Makes the interface and starts the engine; rejects with the reason when either cannot be. */
export async function openUserspaceDevice(options: UserspaceOptions): Promise<WireGuardDevice> {
  const device = new UserspaceDevice(options);
  try {
    await device.opened;
    return device;
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** How many peers cross between the threads at once. */
const PEERS_PER_PART = 256;

interface Question {
  resolve(status: DeviceStatus | undefined): void;
  reject(error: Error): void;
}

class UserspaceDevice implements WireGuardDevice {
  readonly backend = "userspace";
  readonly opened: Promise<void>;
  readonly ended: Promise<Error | undefined>;
  readonly #libc: Libc;
  readonly #wake: EventFd;
  readonly #worker: Worker;
  readonly #log: Log;
  readonly #questions = new Map<number, Question>();
  readonly #opening = Promise.withResolvers<void>();
  readonly #ending = Promise.withResolvers<Error | undefined>();
  #interfaceName: string;
  /** Changes are made one after another. */
  #configuring: Promise<void> = Promise.resolve();
  #nextId = 0;
  #isClosing = false;
  #hasEnded = false;

  constructor(options: UserspaceOptions) {
    const { name, mtu = DEFAULT_MTU, log = silentLog, portableCrypto = false, offload = true } = options;
    this.opened = this.#opening.promise;
    this.ended = this.#ending.promise;
    this.#interfaceName = name;
    this.#log = log;
    using opened = new DisposableStack();
    this.#libc = opened.use(openLibc());
    this.#wake = opened.use(new EventFd(this.#libc));
    this.#worker = new Worker(new URL("./main_userspace.ts", import.meta.url), { type: "module", name: "wireguard" });
    opened.move();
    this.#worker.onmessage = ({ data }: MessageEvent<FromEngine>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new CulvertError("engine_failed", `The WireGuard engine failed: ${event.message}`));
    };
    this.#post({ type: "open", options: { name, mtu, portableCrypto, offload }, wakeFd: this.#wake.fd });
  }

  get interfaceName(): string {
    return this.#interfaceName;
  }

  /** In parts, so that what ten thousand peers take on their way between the threads is free again after each. */
  async configure(change: DeviceChange): Promise<void> {
    checkDeviceChange(change);
    const before = this.#configuring;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#configuring = promise;
    try {
      await before;
      for (const part of partsOf(change)) await this.#ask((id) => ({ type: "configure", id, change: part }));
    } finally {
      resolve();
    }
  }

  async status(): Promise<DeviceStatus> {
    return (await this.#ask((id) => ({ type: "status", id })))!;
  }

  async close(): Promise<void> {
    if (!this.#isClosing && !this.#hasEnded) {
      this.#isClosing = true;
      this.#post({ type: "close" });
    }
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ask(question: (id: number) => ToEngine): Promise<DeviceStatus | undefined> {
    if (this.#isClosing || this.#hasEnded) {
      return Promise.reject(new CulvertError("closed", `Cannot ask ${this.#interfaceName}: the device has ended`));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#questions.set(id, { resolve, reject });
      this.#post(question(id));
    });
  }

  #post(message: ToEngine): void {
    this.#worker.postMessage(message);
    this.#wake.wake();
  }

  #hear(message: FromEngine): void {
    switch (message.type) {
      case "opened":
        this.#interfaceName = message.interfaceName;
        return this.#opening.resolve();
      case "answer": {
        const question = this.#questions.get(message.id);
        this.#questions.delete(message.id);
        return message.error ? question?.reject(errorOf(message.error)) : question?.resolve(message.status);
      }
      case "log":
        return this.#log[message.level](message.message, message.fields);
      case "ended":
        return this.#end(message.error && errorOf(message.error));
    }
  }

  /** Once: lets go of everything and tells everyone who waits. */
  #end(error: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#worker.terminate();
    this.#wake[Symbol.dispose]();
    this.#libc[Symbol.dispose]();
    const reason = error ?? new CulvertError("closed", `The device ${this.#interfaceName} was closed`);
    this.#opening.reject(reason);
    this.#opening.promise.catch(() => {}); // it is told by `ended` too
    for (const { reject } of this.#questions.values()) reject(reason);
    this.#questions.clear();
    this.#ending.resolve(error);
  }
}

/** What cannot be refused any more goes after what can: the device's own settings and the first peers are one part. */
function* partsOf(change: DeviceChange): Generator<DeviceChange> {
  const { peers, ...device } = change;
  if (!peers) return yield change;
  yield { ...device, peers: peers.slice(0, PEERS_PER_PART) };
  for (let at = PEERS_PER_PART; at < peers.length; at += PEERS_PER_PART) {
    yield { peers: peers.slice(at, at + PEERS_PER_PART) };
  }
}
