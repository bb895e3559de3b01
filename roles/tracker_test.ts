import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TestPeer } from "../edge/fixtures/tracker.ts";
import { HttpCallError } from "../net/signed_http.ts";
import { TrackerClient, type TrackerClientOptions } from "../net/tracker_client.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { clockOf } from "../protocol/clock.ts";
import { LogCollector } from "../testing/log_collector.ts";
import { listenAddress, Program } from "../testing/program.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";
import { eventually } from "../testing/waiting.ts";
import { FakeHost } from "./fixtures/fake_host.ts";
import { runRole, type StartOptions, startRole } from "./role.ts";
import { role } from "./tracker.ts";

const [one, two] = [new TestPeer(1), new TestPeer(2)];

function start(settings: Record<string, unknown>, options: StartOptions = {}) {
  return startRole(role, role.config.parse({ listen: "127.0.0.1:0", kv: ":memory:", ...settings }), options);
}

/** A peer that is listed at trackers while it lives. */
function join(peer: TestPeer, urls: readonly string[], overrides: Partial<TrackerClientOptions> = {}): TrackerClient {
  return new TrackerClient({
    trackers: urls.map((url) => new URL(url)),
    signer: peer.identity,
    clock: clockOf(globalThis),
    random: peer.random,
    primitives: hostPrimitives(),
    describe: () => peer.card({ issuedAtMs: Date.now() }),
    ...overrides,
  });
}

function listedAt(client: TrackerClient): Promise<void> {
  return eventually("it is listed", () => client.trackers.every(({ isListed }) => isListed));
}

async function idsOf(client: TrackerClient): Promise<string[]> {
  return (await client.list()).peers.map(({ card }) => card.peerId);
}

Deno.test("the tracker introduces peers over HTTP, tells of them as they come and go, and stops when told to", async () => {
  await using tracker = start({ interval: "1s" });
  const url = `http://${(await tracker.ready).addresses.listen}`;
  await using watching = join(two, [url], { describe: undefined });
  const heard: string[] = [];
  let isHeard = false;
  using _following = watching.follow({ capability: "files" }, (event) => heard.push(event.type), () => isHeard = true);
  await eventually("events are heard", () => isHeard);
  {
    await using client = join(one, [url]);
    await listedAt(client);
    assertEquals(await idsOf(watching), [one.id]);
    assertEquals((await watching.find(one.id))!.observedAddress, "127.0.0.1");
    const { seenAtMs } = (await watching.find(one.id))!;
    await eventually("a heartbeat comes", async () => (await watching.find(one.id))!.seenAtMs > seenAtMs);
  }
  await eventually("its end is heard", () => heard.length === 2);
  assertEquals(heard, ["joined", "left"]);
  await tracker.stop();
});

Deno.test("a tracker that is started again knows who was there, and one without a store is told by peers", async () => {
  using directory = new TempDirectory();
  const stateDir = directory.path("state");
  for (const [kv, knows] of [[undefined, [one.id]], [":memory:", []]] as const) {
    const first = start({ kv }, { stateDir });
    const client = join(one, [`http://${(await first.ready).addresses.listen}`]);
    await listedAt(client);
    await first.stop();
    await client[Symbol.asyncDispose]();
    await using again = start({ kv }, { stateDir });
    await using asking = join(two, [`http://${(await again.ready).addresses.listen}`], { describe: undefined });
    assertEquals(await idsOf(asking), [...knows]);
  }
});

const program = fromFileUrl(import.meta.resolve("./tracker.ts"));

function startProcess(kv: string): Program {
  const flags = ["--listen", "127.0.0.1:0", "--kv", kv, "--interval", "1s", "--json", "--log-level", "error"];
  return new Program([Deno.execPath(), "run", "-A", "--unstable-kv", program, ...flags]);
}

Deno.test("two processes on one store are one tracker, and the one goes on when the other is killed", async () => {
  using temp = new TempDirectory();
  const kv = temp.path("tracker.kv");
  const a = startProcess(kv);
  const b = startProcess(kv);
  try {
    const [urlA, urlB] = (await Promise.all([a.readJson(), b.readJson()])).map((ready) => {
      const { host, port } = listenAddress(ready);
      return `http://${host}:${port}`;
    }) as [string, string];
    await using atA = join(one, [urlA]);
    await using atB = join(two, [urlB]);
    await Promise.all([listedAt(atA), listedAt(atB)]);
    const both = [one.id, two.id].sort();
    for (const client of [atA, atB]) await eventually("both know both", async () => (await idsOf(client)).length === 2);
    assertEquals(await idsOf(atA), both);

    a.crash();
    await using moved = join(one, [urlB]);
    await listedAt(moved);
    assertEquals(await idsOf(atB), both);
    await using again = startProcess(kv);
    const { host, port } = listenAddress(await again.readJson());
    await using asking = join(one, [`http://${host}:${port}`], { describe: undefined });
    assertEquals(await idsOf(asking), both);
  } finally {
    await Promise.all([a.stop(), b.stop()]);
  }
});

Deno.test("what the variables of other trackers say is heeded, and flags come first", async () => {
  const table: readonly (readonly [args: readonly string[], variables: Record<string, string>, host: string])[] = [
    [[], { RELAY_BIND_ADDRESS: "127.0.0.2", RELAY_PORT: "0" }, "127.0.0.2"],
    [["--bind-address", "127.0.0.3"], { RELAY_BIND_ADDRESS: "127.0.0.2", RELAY_PORT: "0" }, "127.0.0.3"],
    [["--listen", "127.0.0.4:0"], { RELAY_BIND_ADDRESS: "127.0.0.2", RELAY_PORT: "1" }, "127.0.0.4"],
    [["--port", "0"], { CULVERT_BIND_ADDRESS: "127.0.0.5", RELAY_BIND_ADDRESS: "127.0.0.2" }, "127.0.0.5"],
  ];
  for (const [args, variables, expected] of table) {
    const host = new FakeHost(variables);
    const ended = runRole(role, ["--kv", ":memory:", "--json", ...args], { host, roles: ["tracker"] });
    await eventually("it is ready", () => host.out.includes("\n"));
    assertEquals(listenAddress(JSON.parse(host.out)).host, expected);
    host.sendStop();
    assertEquals(await ended, 0);
  }
});

const mistakes:
  readonly (readonly [what: string, args: readonly string[], variables: Record<string, string>, says: string])[] = [
    [
      "a database that is none of Deno KV",
      [],
      { DATABASE_URL: "postgres://tracker:secret@db.example/peers" },
      "DATABASE_URL must be the https URL of a denokv, got postgres:",
    ],
    ["a path for a URL", ["--database-url", "/var/lib/peers"], {}, "got something else"],
    ["a store over plain HTTP", [], { DATABASE_URL: "http://kv.example" }, "https://"],
    ["a port that is none", [], { RELAY_PORT: "70000" }, "RELAY_PORT must be"],
    ["half a certificate", ["--cert-file", "x"], {}, "must be given together"],
    ["a token that is not there", ["--join-token-file", "/nowhere"], {}, "--join-token-file must be a file"],
    ["a deny list that is not there", ["--deny-file", "/nowhere"], {}, "--deny-file is of no use"],
    ["an interval that is too short", ["--interval", "10ms"], {}, "--interval must be"],
  ];
for (const [what, args, variables, says] of mistakes) {
  Deno.test(`${what} does not start a tracker, and nothing secret is repeated`, async () => {
    const host = new FakeHost(variables);
    const code = await runRole(role, ["--listen", "127.0.0.1:0", ...args], { host, roles: ["tracker"] });
    const said = host.complaints + host.logged;
    assert(code === 1 || code === 2, `${code}`);
    assertStringIncludes(said, says);
    assert(!said.includes("secret@"));
  });
}

Deno.test("a port that another program has is named", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const error = await start({ listen: `127.0.0.1:${port}` }).done.catch((error) => error);
  assertStringIncludes(String(error), `--listen 127.0.0.1:${port}: another program has this port`);
});

Deno.test("a closed tracker takes the token from its file, and the deny file is followed", async () => {
  using folder = new TempDirectory();
  const [joinTokenFile, denyFile] = [folder.path("token"), folder.path("deny")];
  await Deno.writeTextFile(joinTokenFile, "open-sesame\n");
  await Deno.writeTextFile(denyFile, "# nobody\n");
  const log = new LogCollector();
  await using tracker = start({ joinTokenFile, denyFile, interval: "1s" }, { log });
  const url = `http://${(await tracker.ready).addresses.listen}`;
  await using stranger = join(two, [url]);
  await eventually("the stranger is refused", () => stranger.trackers[0]!.problem !== undefined);
  await using client = join(one, [url], { joinToken: "open-sesame" });
  await listedAt(client);
  assertEquals(await idsOf(client), [one.id]);
  const read = log.waitFor("The deny list was read again");
  await Deno.writeTextFile(denyFile, one.id);
  await read;
  await eventually("it is turned away", async () => {
    const error = await client.list().catch((error) => error);
    return error instanceof HttpCallError && error.status === 403;
  });
  const broken = log.waitFor("The deny list could not be read: the one before stays");
  await Deno.writeTextFile(denyFile, "nonsense");
  assertStringIncludes(String((await broken).fields.error), "line 1 must be a peer id");
  const status = await fetch(`${url}/api/relay/status`).then((response) => response.json());
  assertEquals([status.peers, status.closed], [0, true]);
});

Deno.test("addresses that a proxy passes on are believed only where one is trusted", async () => {
  for (const [trustProxy, expected] of [[true, "203.0.113.7"], [false, "127.0.0.1"]] as const) {
    await using tracker = start({ trustProxy });
    const url = `http://${(await tracker.ready).addresses.listen}`;
    const passOn = (request: Request) => {
      request.headers.set("x-forwarded-for", "198.51.100.1, 203.0.113.7");
      return fetch(request);
    };
    await using client = join(one, [url], { fetch: passOn });
    await listedAt(client);
    assertEquals(client.trackers[0]!.observedAddress, expected);
  }
});

testWith({ tools: ["openssl"] }, "a tracker serves TLS, streams of events too", async () => {
  using folder = new TempDirectory();
  const { certFile, keyFile } = await makeTlsCertificate(folder, "tracker");
  await using tracker = start({ certFile, keyFile });
  using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(certFile)] });
  const url = `https://${(await tracker.ready).addresses.listen}`;
  await using peer = join(one, [url], { fetch: (request) => fetch(request, { client }) });
  let isHeard = false;
  using _following = peer.follow({}, () => {}, () => isHeard = true);
  await eventually("events are heard", () => isHeard);
  await listedAt(peer);
  assertEquals(await idsOf(peer), [one.id]);
});
