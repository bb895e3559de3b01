/**
 * The control plane as processes, and what happens when one of them is killed: base, a supernode in each of two regions,
 * two exits at the one, a client at the other.
 */

import { assert, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { parseTarget, writeAll } from "../protocol/stream.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { loadIdentity } from "../roles/identity_store.ts";
import { StateDirectory } from "../roles/state.ts";
import { freePort, Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";

const MAIN = fromFileUrl(new URL("../roles/main.ts", import.meta.url));
/** Issue 4: how long a stream may take to work again after its exit was killed. */
const FAILOVER_MS = 1000;

interface Running {
  readonly program: Program;
  readonly peerId: string | undefined;
  readonly addresses: Readonly<Record<string, string>>;
}

class Processes implements AsyncDisposable {
  readonly #programs: Program[] = [];
  readonly #directory = new TempDirectory();

  /** A role with a state directory of that name. */
  async start(role: string, name: string, flags: readonly string[]): Promise<Running> {
    const directory = this.#directory.path(name);
    const state = ["--state-dir", directory, "--json"];
    const program = new Program([Deno.execPath(), "run", "-A", MAIN, role, ...state, ...flags], { quiet: true });
    this.#programs.push(program);
    const { addresses } = await program.readJson() as { addresses: Record<string, string> };
    const identity = await loadIdentity(await StateDirectory.open(directory), hostPrimitives());
    return { program, addresses, peerId: identity?.peerId };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    this.#directory[Symbol.dispose]();
  }
}

/** The page that tells which way it came, or what the proxy said instead. */
async function hello(proxy: string): Promise<string> {
  const { host, port } = parseTarget(proxy)!;
  using conn = await Deno.connect({ hostname: host, port });
  await writeAll(conn, new TextEncoder().encode("GET http://hello.culvert/ HTTP/1.0\r\nHost: hello.culvert\r\n\r\n"));
  return await new Response(conn.readable).text();
}

/** Asks until it is there: peers find each other in the background. */
async function helloAtLast(proxy: string): Promise<string> {
  const untilMs = performance.now() + 30_000;
  for (;;) {
    const page = await hello(proxy);
    if (/^HTTP\/1\.[01] 200/.test(page) || performance.now() > untilMs) return page;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Which of the exits the page has passed. */
function exitOf(page: string): string {
  return /exit\s+([a-z2-7]{26})/.exec(page)![1]!;
}

Deno.test("G: kill -9 of an exit costs a client in another region less than a second, of its supernode nothing for good", async () => {
  await using processes = new Processes();
  const { addresses: base } = await processes.start("base", "base", ["--listen", "127.0.0.1:0"]);
  const at = (
    region: string,
    port: number,
  ) => ["--region", region, "--listen", `127.0.0.1:${port}`, "--base", `http://${base["listen"]}`];
  const northPort = freePort();
  const north = await processes.start("supernode", "north", at("north", northPort));
  const south = await processes.start("supernode", "south", at("south", freePort()));
  const exitFlags = ["--region", "south", "--supernode", south.addresses["supernode"]!];
  const exits = [await processes.start("exit", "one", exitFlags), await processes.start("exit", "two", exitFlags)];
  const client = await processes.start("client", "client", [
    ...["--listen", "127.0.0.1:0", "--region", "south", "--supernode", north.addresses["supernode"]!],
  ]);
  const proxy = client.addresses["listen"]!;

  const before = await helloAtLast(proxy);
  assertMatch(before, /^HTTP\/1\.[01] 200/);
  const first = exitOf(before);
  const ids = exits.map(({ peerId }) => peerId);
  exits[ids.indexOf(first)]!.program.crash();
  const killedMs = performance.now();
  const after = await hello(proxy);
  assert(performance.now() - killedMs < FAILOVER_MS, `${performance.now() - killedMs} ms`);
  assertMatch(after, /^HTTP\/1\.[01] 200/);
  assertStringIncludes(ids.filter((id) => id !== first).join(), exitOf(after));

  north.program.crash();
  await north.program.stop();
  await processes.start("supernode", "north", at("north", northPort));
  assertMatch(await helloAtLast(proxy), /^HTTP\/1\.[01] 200/);
});
