/**
 * Two WireGuard devices that face each other over a veth pair, each made by any program that serves a UAPI socket and
 * each in a network namespace of its own; all of it is configured by the stock `wg`:
 *
 *   namespace a                                   namespace b
 *   inner 10.78.0.1, fd78::1                      inner 10.78.0.2, fd78::2
 *   outer 10.77.0.1, fd77::1   eth0 ←── veth ──→ eth0   outer 10.77.0.2, fd77::2
 *
 *   await using rig = await WireGuardRig.open({ a: wireguardGo(), b: wireguardGo() });
 *   await rig.a.run(["ping", "-c1", rig.b.inner[4]]);
 *
 * Needs root, `ip`, `wg` and the programs. UAPI sockets lie in one folder for all namespaces, so the interfaces' names
 * are made of chance.
 */

import { fromFileUrl } from "@std/path";
import { clockOf, delay } from "../protocol/clock.ts";
import { writeAll } from "../protocol/stream.ts";
import { NetLab, type NetNamespace, type RunOptions, type RunResult } from "./netns.ts";
import { Program } from "./program.ts";
import { findTool } from "./requirements.ts";
import { TempDirectory } from "./temp_directory.ts";

/** A program that runs one device in the foreground. */
export interface WireGuardMaker {
  readonly name: string;
  /** Its command line for an interface of this name. It ends with SIGTERM, the interface with it. */
  command(interfaceName: string): readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export type IpVersion = 4 | 6;

export interface RigOptions {
  readonly a: WireGuardMaker;
  readonly b: WireGuardMaker;
  /** Of both devices; default 1420. The veth pair gets room for it. */
  readonly mtu?: number;
  /** What the datagrams travel in; default 4. */
  readonly outer?: IpVersion;
  /** Each other's only peer from the start; default true. */
  readonly peered?: boolean;
  readonly presharedKey?: string;
}

/** What one peer is to another device: the words of `wg set … peer`. */
export interface PeerSettings {
  readonly presharedKey?: string;
  /** `host:port`. */
  readonly endpoint?: string;
  readonly persistentKeepaliveS?: number;
}

/** A peer as `wg show … dump` gives it. */
export interface PeerState {
  readonly publicKey: string;
  readonly endpoint: string;
  readonly latestHandshakeS: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export const LISTEN_PORT = 51_820;
const SOCKET_FOLDER = "/var/run/wireguard";
const READY_MS = 20_000;
/** IPv6, UDP, and the header and tag of a transport message. */
const OUTER_OVERHEAD_BYTES = 80;

/** Debian's wireguard-go, or the one at a path. */
export function wireguardGo(options: { readonly name?: string; readonly path?: string } = {}): WireGuardMaker {
  const { name = "wireguard-go", path = findTool("wireguard-go") ?? "wireguard-go" } = options;
  return { name, command: (interfaceName) => [path, "-f", interfaceName], env: { LOG_LEVEL: "silent" } };
}

/** Our userspace device, run by a program that gives it a UAPI socket and nothing else; without offload, packet by packet. */
export function culvertUserspace({ offload = true }: { readonly offload?: boolean } = {}): WireGuardMaker {
  const deno = [Deno.execPath(), "run", "-A", "--frozen", "--config", repositoryFile("deno.json")];
  const program = repositoryFile("bench/load/wireguard.ts");
  const flags = offload ? [] : ["--no-offload"];
  return {
    name: offload ? "culvert" : "culvert without offload",
    command: (interfaceName) => [...deno, program, "--interface", interfaceName, ...flags],
  };
}

export class WireGuardRig implements AsyncDisposable {
  readonly a: WireGuardEnd;
  readonly b: WireGuardEnd;
  readonly #resources: AsyncDisposableStack;

  private constructor(a: WireGuardEnd, b: WireGuardEnd, resources: AsyncDisposableStack) {
    this.a = a;
    this.b = b;
    this.#resources = resources;
  }

  static async open(options: RigOptions): Promise<WireGuardRig> {
    const { mtu = 1420, outer = 4, peered = true, presharedKey } = options;
    await using resources = new AsyncDisposableStack();
    const lab = resources.use(await NetLab.open());
    const folder = resources.use(new TempDirectory());
    const id = crypto.randomUUID().slice(0, 8);
    const [inA, inB] = [await lab.namespace(`wg-${id}-a`), await lab.namespace(`wg-${id}-b`)];
    const [deviceA, deviceB] = await lab.connect(inA, "10.77.0.1/24", inB, "10.77.0.2/24");
    for (const [namespace, device, address] of [[inA, deviceA, "fd77::1/64"], [inB, deviceB, "fd77::2/64"]] as const) {
      await namespace.run(["ip", "link", "set", device, "mtu", `${Math.max(1500, mtu + OUTER_OVERHEAD_BYTES)}`]);
      await namespace.run(["ip", "address", "add", address, "dev", device, "nodad"]);
    }
    const settings = { mtu, outer, folder };
    const open = (maker: WireGuardMaker, namespace: NetNamespace, side: 1 | 2) =>
      WireGuardEnd.open({ ...settings, maker, namespace, side, interfaceName: `cv-${id}-${side}` });
    const a = resources.use(await open(options.a, inA, 1));
    const b = resources.use(await open(options.b, inB, 2));
    if (peered) {
      const psk = presharedKey === undefined ? {} : { presharedKey };
      await a.setPeer(b, { endpoint: b.outerEndpoint, ...psk });
      await b.setPeer(a, { endpoint: a.outerEndpoint, ...psk });
    }
    return new WireGuardRig(a, b, resources.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

interface EndOptions {
  readonly maker: WireGuardMaker;
  readonly namespace: NetNamespace;
  readonly interfaceName: string;
  readonly side: 1 | 2;
  readonly mtu: number;
  readonly outer: IpVersion;
  readonly folder: TempDirectory;
}

/** One of the two devices and its namespace. */
export class WireGuardEnd implements AsyncDisposable {
  readonly interfaceName: string;
  readonly namespace: NetNamespace;
  readonly inner: Readonly<Record<IpVersion, string>>;
  readonly outer: Readonly<Record<IpVersion, string>>;
  readonly #options: EndOptions;
  #program: Program | undefined;
  #privateKey = "";
  #publicKey = "";

  private constructor(options: EndOptions) {
    this.#options = options;
    this.interfaceName = options.interfaceName;
    this.namespace = options.namespace;
    this.inner = { 4: `10.78.0.${options.side}`, 6: `fd78::${options.side}` };
    this.outer = { 4: `10.77.0.${options.side}`, 6: `fd77::${options.side}` };
  }

  /** Starts the program, gives the device a fresh key, a port, its addresses and its MTU. */
  static async open(options: EndOptions): Promise<WireGuardEnd> {
    const end = new WireGuardEnd(options);
    end.#privateKey = (await end.run(["wg", "genkey"])).stdout.trim();
    await end.start();
    end.#publicKey = (await end.run(["wg", "show", end.interfaceName, "public-key"])).stdout.trim();
    return end;
  }

  get publicKey(): string {
    return this.#publicKey;
  }

  get privateKey(): string {
    return this.#privateKey;
  }

  /** The process behind the device. */
  get program(): Program {
    return this.#program!;
  }

  get outerEndpoint(): string {
    const { outer } = this.#options;
    return `${outer === 6 ? `[${this.outer[6]}]` : this.outer[4]}:${LISTEN_PORT}`;
  }

  /** Starts the device anew with the same key and addresses, without peers; for an end that was stopped or crashed. */
  async start(): Promise<void> {
    const { maker, namespace, mtu } = this.#options;
    const command = maker.command(this.interfaceName);
    this.#program = new Program(namespace.inside(command), {
      quiet: maker.env !== undefined,
      ...maker.env && { env: maker.env },
    });
    await this.#socketReady();
    await this.wg("private-key", await this.#secretFile(this.#privateKey), "listen-port", `${LISTEN_PORT}`);
    for (const address of [`${this.inner[4]}/24`, `${this.inner[6]}/64`]) {
      const nodad = address.includes(":") ? ["nodad"] : [];
      await this.run(["ip", "address", "add", address, "dev", this.interfaceName, ...nodad]);
    }
    await this.run(["ip", "link", "set", this.interfaceName, "mtu", `${mtu}`, "up"]);
  }

  /** Runs a command in the namespace and waits for it. */
  run(command: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.namespace.run(command, options);
  }

  /** `wg set INTERFACE …` */
  async wg(...words: string[]): Promise<void> {
    await this.run(["wg", "set", this.interfaceName, ...words]);
  }

  /** Makes the other end a peer, or changes what it is. */
  async setPeer(other: WireGuardEnd, settings: PeerSettings = {}): Promise<void> {
    const { presharedKey, endpoint, persistentKeepaliveS } = settings;
    const words = ["peer", other.publicKey, "allowed-ips", `${other.inner[4]}/32,${other.inner[6]}/128`];
    if (presharedKey !== undefined) words.push("preshared-key", await this.#secretFile(presharedKey));
    if (endpoint !== undefined) words.push("endpoint", endpoint);
    if (persistentKeepaliveS !== undefined) words.push("persistent-keepalive", `${persistentKeepaliveS}`);
    await this.wg(...words);
  }

  /** Operations on one connection to the UAPI socket; the answer to the last, without the empty line that ends it. */
  async uapi(...operations: readonly string[]): Promise<string> {
    using connection = await Deno.connect({ transport: "unix", path: this.socketPath });
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    let answer = "";
    for (const operation of operations) {
      await writeAll(connection, new TextEncoder().encode(operation));
      for (answer = ""; !answer.endsWith("\n\n");) {
        const length = await connection.read(buffer);
        if (length === null) throw new Error(`Cannot ask ${this.socketPath}: the answer ended after "${answer}"`);
        answer += decoder.decode(buffer.subarray(0, length), { stream: true });
      }
    }
    return answer.trimEnd();
  }

  /** Another private key and back: every session ends, and the next packet makes a new one at once. */
  async expireKeys(): Promise<void> {
    const other = (await this.run(["wg", "genkey"])).stdout.trim();
    const set = (key: string) => `set=1\nprivate_key=${Uint8Array.fromBase64(key).toHex()}\n\n`;
    const answer = await this.uapi(set(other), set(this.#privateKey));
    if (answer !== "errno=0") throw new Error(`Cannot expire keys: the device must accept them, got ${answer}`);
  }

  /** What the device says of a peer. */
  async peer(other: WireGuardEnd): Promise<PeerState> {
    const { stdout } = await this.run(["wg", "show", this.interfaceName, "dump"]);
    for (const line of stdout.split("\n").slice(1)) {
      const [publicKey, , endpoint = "", , handshake, received, sent] = line.split("\t");
      if (publicKey !== other.publicKey) continue;
      return {
        publicKey,
        endpoint,
        latestHandshakeS: Number(handshake),
        receivedBytes: Number(received),
        sentBytes: Number(sent),
      };
    }
    throw new Error(`Cannot find the peer ${other.publicKey} on ${this.interfaceName}: wg shows\n${stdout}`);
  }

  get socketPath(): string {
    return `${SOCKET_FOLDER}/${this.interfaceName}.sock`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.stop();
  }

  async #socketReady(): Promise<void> {
    const clock = clockOf(globalThis);
    for (const untilMs = clock.now() + READY_MS;;) {
      try {
        (await Deno.connect({ transport: "unix", path: this.socketPath })).close();
        return;
      } catch (cause) {
        if (clock.now() > untilMs) {
          throw new Error(`Cannot open a rig: ${this.#options.maker.name} opened no ${this.socketPath}`, { cause });
        }
        await delay(clock, 20);
      }
    }
  }

  /** `wg` takes secrets only from files. */
  async #secretFile(secret: string): Promise<string> {
    const path = this.#options.folder.path(`${this.interfaceName}-${crypto.randomUUID()}`);
    await Deno.writeTextFile(path, secret, { mode: 0o600 });
    return path;
  }
}

function repositoryFile(path: string): string {
  return fromFileUrl(new URL(`../${path}`, import.meta.url));
}
