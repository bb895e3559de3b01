/**
 * The control plane as it runs: base, supernodes, exits and clients, each a role with its own state directory, in one
 * process. The letters are those of the steps of the operational spec.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../edge/metrics.ts";
import { type Log, type LogFields, silentLog } from "../protocol/log.ts";
import { parseTarget, writeAll } from "../protocol/stream.ts";
import { role as base } from "../roles/base.ts";
import { role as client } from "../roles/client.ts";
import { role as exit } from "../roles/exit.ts";
import { type Role, type RunningRole, startRole } from "../roles/role.ts";
import { role as supernode } from "../roles/supernode.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const ADMIN_TOKEN = "admin-token-of-this-test";

interface Started {
  readonly role: RunningRole;
  readonly stateDir: string;
  readonly addresses: Readonly<Record<string, string>>;
  /** What its metrics say now. */
  metrics(): Promise<string>;
}

/** Everything that one test starts. */
class Network implements AsyncDisposable {
  readonly #roles: RunningRole[] = [];
  readonly #directories: TempDirectory[] = [];
  readonly #said: { readonly message: string; readonly fields: LogFields }[] = [];
  readonly #wakes = new Set<() => void>();

  startBase(): Promise<Started> {
    return this.#start(base, { listen: "127.0.0.1:0", kv: ":memory:" });
  }

  startSupernode(region: string, settings: object = {}, stateDir?: string): Promise<Started> {
    const admin = { adminListen: "127.0.0.1:0", adminToken: ADMIN_TOKEN };
    return this.#start(supernode, { region, listen: "127.0.0.1:0", ...admin, ...settings }, stateDir);
  }

  /** Settles when the exit can be given to clients. */
  async startExit(at: Started, region: string, stateDir?: string): Promise<Started & { readonly peerId: string }> {
    const links = this.#linkCount();
    const started = await this.#start(exit, { region, supernode: [at.addresses["supernode"]] }, stateDir);
    await this.until(() => this.#linkCount() > links);
    const { fields } = this.#said.findLast(({ message }) => message === "A data link is open")!;
    return { ...started, peerId: String(fields["peer_id"]) };
  }

  async startClient(at: Started, settings: object = {}): Promise<Started & { readonly proxy: string }> {
    const probes = { probeEvery: "100ms", probeTimeout: "500ms" };
    const supernodes = [at.addresses["supernode"]];
    const started = await this.#start(client, { listen: "127.0.0.1:0", supernode: supernodes, ...probes, ...settings });
    return { ...started, proxy: started.addresses["listen"]! };
  }

  /** Waits until it holds, looked at whenever something is said. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#wakes.add(resolve));
  }

  hasSaid(message: string, fields: LogFields = {}): boolean {
    return this.#said.some((line) =>
      line.message === message && Object.entries(fields).every(([name, value]) => line.fields[name] === value)
    );
  }

  #linkCount(): number {
    return this.#said.filter(({ message, fields }) => message === "A data link is open" && fields["holder"] === "peer")
      .length;
  }

  async #start(role: Role, settings: object, stateDir = this.#newDirectory()): Promise<Started> {
    const metrics = createMetrics();
    const running = startRole(role, role.config.parse(settings), { stateDir, metrics, log: this.#log() });
    this.#roles.push(running);
    const { addresses } = await running.ready;
    return { role: running, stateDir, addresses, metrics: () => metrics.text() };
  }

  #log(): Log {
    const say = (message: string, fields: LogFields = {}) => {
      this.#said.push({ message, fields });
      for (const wake of this.#wakes) wake();
      this.#wakes.clear();
    };
    return { ...silentLog, debug: say, info: say, warn: say, error: say };
  }

  #newDirectory(): string {
    const directory = new TempDirectory();
    this.#directories.push(directory);
    return directory.path("state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of this.#roles.reverse()) await role[Symbol.asyncDispose]();
    for (const directory of this.#directories) directory[Symbol.dispose]();
  }
}

/** The page that tells which way it came. */
async function hello(proxy: string): Promise<string> {
  const { host, port } = parseTarget(proxy)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("GET http://hello.culvert/ HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  return await new Response(conn.readable).text();
}

/** Asks the administrators' API. */
// deno-lint-ignore no-explicit-any -- each test knows what it asks for
async function admin(at: Started, method: string, path: string, body?: object): Promise<any> {
  const response = await fetch(`http://${at.addresses["admin"]}${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  assertEquals(response.status, 200, path);
  return await response.json();
}

Deno.test("A to E: a client's traffic leaves at an exit of its supernode, by way of all three", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  const { peerId } = await network.startExit(here, "north");
  const { proxy } = await network.startClient(here);
  const page = await hello(proxy);
  assertMatch(page, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(page, peerId);
  const { streams } = await admin(here, "GET", "/v1/streams");
  assertEquals(streams.map(({ role }: { role: string }) => role).sort(), ["client", "exit"]);
  const { sessions } = await admin(here, "GET", "/v1/sessions");
  assertEquals(sessions.map(({ state }: { state: string }) => state), ["active"]);
  const metrics = await here.metrics();
  for (const line of ['command_success_total{kind="SETUP_EXIT"} 1', "relay_sessions_active 1"]) {
    assertStringIncludes(metrics, line);
  }
});
