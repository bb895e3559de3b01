/**
 * WireGuard handshakes as a benchmark: a crowd of initiators in one end's namespace, against the device of the other.
 */

import { randomOf } from "../protocol/random.ts";
import { portableWireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import type { Key } from "../protocol/wireguard/settings.ts";
import type { Program } from "../testing/program.ts";
import { weigh } from "../testing/weighing.ts";
import type { Weight } from "../protocol/wireguard/fixtures/many_peers.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { LISTEN_PORT, type WireGuardEnd, type WireGuardRig } from "../testing/wireguard_rig.ts";
import { SOURCES } from "./load/initiators.ts";
import { load } from "./loads.ts";

/** A port where nobody listens: what a flood costs the machine, without what it costs a device. */
const DEAF_PORT = LISTEN_PORT + 1;

/** Initiators whom the far end of a rig knows as its peers. */
export class Crowd implements Disposable {
  readonly #near: WireGuardEnd;
  readonly #far: WireGuardEnd;
  readonly #folder: TempDirectory;

  private constructor({ a, b }: WireGuardRig, folder: TempDirectory) {
    this.#near = a;
    this.#far = b;
    this.#folder = folder;
  }

  static async open(rig: WireGuardRig, count: number): Promise<Crowd> {
    const crowd = new Crowd(rig, new TempDirectory());
    try {
      await crowd.#introduce(count);
      return crowd;
    } catch (error) {
      crowd[Symbol.dispose]();
      throw error;
    }
  }

  async #introduce(count: number): Promise<void> {
    const privateKeys = randomKeys(count);
    const peers = privateKeys.map((key) => portableWireGuardCrypto.x25519PublicKey(key));
    await Deno.writeTextFile(this.#folder.path("keys"), privateKeys.map((key) => key.toBase64()).join("\n"));
    await addPeers(this.#far, peers, this.#folder);
    await this.#near.run(["ip", "route", "add", "local", SOURCES.cidr, "dev", "lo"]);
    await this.#far.run(["ip", "route", "add", SOURCES.cidr, "via", this.#near.outer[4]]);
  }

  /** Handshakes per second that the device completes while all of them want one, and cookies it asked for. */
  async measure(times: { warmMs: number; measureMs: number }): Promise<{ handshakesPerS: number; cookies: number }> {
    const { warmMs, measureMs } = times;
    const flags = { ...this.#flags(LISTEN_PORT), "warm-ms": warmMs, "measure-ms": measureMs };
    await using program = load("initiators", flags, this.#near.namespace);
    const { handshakesPerS, cookies } = await program.readJson(warmMs + measureMs + 60_000);
    return { handshakesPerS: Number(handshakesPerS), cookies: Number(cookies) };
  }

  /** Floods the device, or a port beside it where nobody listens, until the program is disposed. */
  async flood(at: "device" | "nobody", perS: number): Promise<Program> {
    const flags = { ...this.#flags(at === "device" ? LISTEN_PORT : DEAF_PORT), "per-s": perS };
    const program = load("flood", flags, this.#near.namespace);
    await program.readJson();
    return program;
  }

  #flags(port: number): Record<string, string> {
    const target = `${this.#far.outer[4]}:${port}`;
    return { target, key: this.#far.publicKey, "private-keys": this.#folder.path("keys") };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

export interface PeersResult {
  /** From `wg addconf` to its end. */
  readonly loadS: number;
  /** What the process grew by: what it keeps, and the room that reading them took. */
  readonly rssKibPerPeer: number;
}

/** What it takes to give a device many peers with a route each. */
export async function measurePeers(end: WireGuardEnd, count: number): Promise<PeersResult> {
  using folder = new TempDirectory();
  const before = await end.program.settledRssKib();
  const loadS = await addPeers(end, randomKeys(count), folder);
  return { loadS, rssKibPerPeer: (await end.program.settledRssKib() - before) / count };
}

/** KiB that a device keeps for a peer, weighed after the garbage was collected; in a program of its own. */
export async function weighPeers(count: number): Promise<number> {
  const program = new URL("../protocol/wireguard/fixtures/many_peers.ts", import.meta.url);
  return (await weigh<Weight>(program, count)).bytesPerPeer / 1024;
}

/** By one `wg addconf`, each with an address of its own; gives the seconds that took. */
async function addPeers(end: WireGuardEnd, publicKeys: readonly Key[], folder: TempDirectory): Promise<number> {
  const peers = publicKeys.map((key, index) =>
    `[Peer]\nPublicKey = ${key.toBase64()}\nAllowedIPs = 10.80.${index >> 8}.${index & 255}/32\n`
  );
  const path = folder.path("peers.conf");
  await Deno.writeTextFile(path, peers.join("\n"));
  const startMs = performance.now();
  await end.run(["wg", "addconf", end.interfaceName, path]);
  return (performance.now() - startMs) / 1000;
}

function randomKeys(count: number): Key[] {
  const random = randomOf(crypto);
  return Array.from({ length: count }, () => random.fill(new Uint8Array(32)));
}
