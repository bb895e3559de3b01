/**
 * Fragments and circuits in a closed network, by processes whose certificates its owner has issued: all that takes part
 * belongs to it, and who does not is turned away, whatever the directory is told.
 */

import { assertMatch, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { encodeBase64 } from "../../protocol/encoding.ts";
import { parseTarget, type Target } from "../../protocol/stream.ts";
import { install, issue } from "../../roles/enroll.ts";
import { loadOrCreateIdentity } from "../../roles/identity_store.ts";
import { createNetwork } from "../../roles/network_key.ts";
import { StateDirectory } from "../../roles/state.ts";
import { freePort } from "../../testing/program.ts";
import { untilReachable } from "../../testing/socks_client.ts";
import { Processes, type RoleProcess } from "../chaos/fixtures/processes.ts";
import { primitives, random } from "../fixtures/attacked_supernode.ts";
import { CheckedTarget, download, upload } from "../fixtures/checked_target.ts";

const clock = clockOf(globalThis);
const { signal } = new AbortController();
const HOST = "127.0.0.1";
const BYTES = 2_000_000;

/** A network's owner, and the processes of its members. */
class ClosedNetwork implements AsyncDisposable {
  readonly #processes: Processes;
  readonly #publicKey: string;
  readonly #policy: string;
  #base = "";
  #count = 0;

  static async found(): Promise<ClosedNetwork> {
    const processes = new Processes();
    const { publicKey } = await createNetwork(processes.path("network.key"), { random, primitives });
    const network = new ClosedNetwork(processes, encodeBase64(publicKey));
    await Deno.writeTextFile(network.#policy, 'allow_addresses = ["loopback"]\n');
    const base = await network.start("base", [], ["--listen", `${HOST}:0`]);
    network.#base = base.addresses["listen"]!;
    return network;
  }

  private constructor(processes: Processes, publicKey: string) {
    this.#processes = processes;
    this.#publicKey = publicKey;
    this.#policy = processes.path("policy.toml");
  }

  /** A process with a certificate for these roles, or none. */
  async start(role: string, certified: readonly string[], flags: readonly string[]): Promise<RoleProcess> {
    const name = `${role}-${this.#count++}`;
    if (certified.length > 0) await this.#enroll(name, certified);
    return await this.#processes.start(role, name, ["--network-public-key", this.#publicKey, ...flags]);
  }

  /** What listens and is listed. */
  async startRelay(role: string, flags: readonly string[] = []): Promise<RoleProcess> {
    return await this.start(role, [role], [...this.#relayFlags(), ...flags]);
  }

  async startCentral(flags: readonly string[] = []): Promise<RoleProcess> {
    const all = [...this.#relayFlags(), "--egress-policy", this.#policy, ...flags];
    return await this.start("central", ["central", "client"], all);
  }

  async startGateway(): Promise<RoleProcess> {
    const flags = ["--base", `http://${this.#base}`, "--egress-policy", this.#policy];
    return await this.start("gateway", ["gateway"], flags);
  }

  async startProxy(path: string, certified: readonly string[] = ["client"]): Promise<Target> {
    const { addresses } = await this.start("proxy", certified, ["--listen", `${HOST}:0`, "--path", path]);
    return parseTarget(addresses["listen"]!)!;
  }

  /** A path by what is listed. */
  url(scheme: "fragments" | "circuit", query: string): string {
    return `${scheme}+http://${this.#base}/?${query}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes[Symbol.asyncDispose]();
  }

  #relayFlags(): string[] {
    return ["--base", `http://${this.#base}`, "--listen", `${HOST}:${freePort()}`];
  }

  /** As `culvert enroll` does on the owner's machine, and then on the member's. */
  async #enroll(name: string, role: readonly string[]): Promise<void> {
    const stateDir = this.#processes.path(name);
    const tools = { clock, random, primitives };
    const { identity } = await loadOrCreateIdentity(await StateDirectory.open(stateDir), { ...tools, signal });
    const request = { networkKeyFile: this.#processes.path("network.key"), role: [...role], region: "*", days: 1 };
    const certificate = await issue({ ...request, peer: identity.peerId }, tools);
    await install(certificate, { ...tools, stateDir, signal });
  }
}

async function startFragments(network: ClosedNetwork, centralFlags: readonly string[] = []): Promise<string> {
  await Promise.all([
    ...["upstream", "upstream", "downstream", "downstream"].map((role) => network.startRelay(role)),
    network.startCentral(centralFlags),
  ]);
  return network.url("fragments", "up=2&down=2&data=1&total=2");
}

Deno.test("in a closed network members reach the internet in fragments, and nobody else does", async () => {
  await using target = new CheckedTarget();
  await using network = await ClosedNetwork.found();
  const path = await startFragments(network);
  const at = await network.startProxy(path);
  await untilReachable(at, target.address);
  await download(at, target.address, { bytes: BYTES });
  await upload(at, target.address, { bytes: BYTES });
  const refused = await assertRejects(() => network.startProxy(path, ["central"]), Error);
  assertMatch(refused.message, /wrong_role|as client/);
  await assertRejects(() => network.startProxy(path, []), Error);
});

Deno.test("a central in a closed network leaves by its relays and gateway", async () => {
  await using target = new CheckedTarget();
  await using network = await ClosedNetwork.found();
  await Promise.all(["relay", "relay"].map((role) => network.startRelay(role)));
  await network.startGateway();
  const path = await startFragments(network, ["--path", network.url("circuit", "hops=2")]);
  const at = await network.startProxy(path);
  await untilReachable(at, target.address);
  await download(at, target.address, { bytes: BYTES });
  await upload(at, target.address, { bytes: BYTES });
});
