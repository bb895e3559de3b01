/**
 * The deployments of examples/, each started by its one command, with a site fetched through it. What may be lost is lost.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { parseTarget } from "../../protocol/stream.ts";
import { Program } from "../../testing/program.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";

const MAIN = fromFileUrl(new URL("../../roles/main.ts", import.meta.url));
const EXAMPLES = new URL("../../examples/", import.meta.url);

/** A dozen roles load in a dozen threads. */
const START_MS = 120_000;
const RECOVER_MS = 60_000;
const BODY_BYTES = 300_000;

interface Deployed extends AsyncDisposable {
  readonly program: Program;
  /** Where each proxy is, by its machine. */
  readonly proxies: Readonly<Record<string, string>>;
  readonly addresses: Readonly<Record<string, string>>;
  /** Where keys and state lie while it runs. */
  readonly temporary: string;
}

/** Starts a plan of examples/, with loopback open where traffic leaves. */
async function deploy(plan: string, flags: readonly string[] = []): Promise<Deployed> {
  await using starting = new AsyncDisposableStack();
  const directory = starting.use(new TempDirectory());
  const policy = directory.path("policy.toml");
  await Deno.writeTextFile(policy, 'allow_addresses = ["loopback"]\n');
  const temporary = directory.path("tmp");
  await Deno.mkdir(temporary);
  const file = fromFileUrl(new URL(plan, EXAMPLES));
  const settings = ["--plan", file, "--listen", "127.0.0.1:0", "--json", "--egress-policy", policy];
  const program = starting.use(
    new Program([Deno.execPath(), "run", "-A", MAIN, "up", ...settings, ...flags], {
      quiet: true,
      env: { TMPDIR: temporary },
    }),
  );
  const { addresses } = await program.readJson(START_MS) as { addresses: Record<string, string> };
  const proxies = Object.entries(addresses).filter(([name]) => name.endsWith("/proxy"));
  const kept = starting.move();
  return {
    program,
    addresses,
    proxies: Object.fromEntries(proxies.map(([name, at]) => [name.split("/")[0]!, at])),
    temporary,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A site on loopback whose page is the same bytes every time. */
function openSite(): { readonly url: string; readonly page: Uint8Array<ArrayBuffer> } & AsyncDisposable {
  const page = Uint8Array.from({ length: BODY_BYTES }, (_, at) => at * 31 >> 3);
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response(page));
  return { url: `http://127.0.0.1:${server.addr.port}/`, page, [Symbol.asyncDispose]: () => server.shutdown() };
}

async function fetchThrough(proxy: string, url: string): Promise<Uint8Array> {
  using client = Deno.createHttpClient({ proxy: { url: `http://${proxy}` } });
  const response = await fetch(url, { client });
  const body = await response.bytes();
  assertEquals(response.status, 200);
  return body;
}

/** The site's page comes through every proxy as it is. */
async function assertFetches({ proxies }: Deployed): Promise<void> {
  await using site = openSite();
  for (const [machine, proxy] of Object.entries(proxies)) {
    const body = await fetchThrough(proxy, site.url);
    assert(body.length === site.page.length && body.every((byte, at) => byte === site.page[at]), machine);
  }
}

/** What is said of the parts that were killed, each with the stream after it. */
async function assertRecovers({ program }: Deployed, part: string): Promise<void> {
  const killed = await program.readJson(RECOVER_MS);
  assertEquals([killed.event, killed.part], ["killed", part]);
  const after = await program.readJson(RECOVER_MS);
  assertEquals([after.event, after.part], ["recovered", part]);
}

Deno.test("the personal deployment fetches, also without an upstream that is a relay too, and leaves nothing", async () => {
  await using deployed = await deploy("personal.toml", ["--kill", "upstream-1"]);
  assertEquals(Object.keys(deployed.proxies), ["client"]);
  await assertRecovers(deployed, "upstream-1");
  await assertFetches(deployed);
  assertEquals(await deployed.program.stop(), 0);
  assertEquals([...Deno.readDirSync(deployed.temporary)], []);
  const { dashboard, ...others } = deployed.addresses;
  for (const address of [...Object.values(others), new URL(dashboard!).host]) {
    const { host, port } = parseTarget(address)!;
    Deno.listen({ hostname: host, port }).close();
  }
});

Deno.test("the anonymity deployment fetches, also without one of its three upstreams", async () => {
  await using deployed = await deploy("anonymity.toml", ["--kill", "upstream-2"]);
  await assertRecovers(deployed, "upstream-2");
  await assertFetches(deployed);
  assertEquals(await deployed.program.stop(), 0);
});

Deno.test("the performance deployment fetches, also without one of its two centrals", async () => {
  await using deployed = await deploy("performance.toml", ["--kill", "central-2"]);
  await assertRecovers(deployed, "central-2");
  await assertFetches(deployed);
  assertEquals(await deployed.program.stop(), 0);
});

Deno.test("with a shared uplink every client fetches through the one gateway", async () => {
  await using deployed = await deploy("shared-uplink.toml");
  assertEquals(Object.keys(deployed.proxies), ["alice", "bob", "carol"]);
  await assertFetches(deployed);
  assertEquals(await deployed.program.stop(), 0);
});
