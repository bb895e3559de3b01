/**
 * The apps of `edge/` as hosts run them: two processes of each on one key-value store, behind a balancer, under plain
 * `deno run` with no permission but net and env. Then one process of each is killed.
 *
 *   proxy ─▶ upstream (2) ─▶ central ─▶ downstream (2) ─▶ proxy          directory (2)          tracker (2) ◀─ peers
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TestPeer } from "../edge/fixtures/tracker.ts";
import { TrackerClient } from "../net/tracker_client.ts";
import { clockOf } from "../protocol/clock.ts";
import { generateSecrets } from "../protocol/identity.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { randomOf } from "../protocol/random.ts";
import { formatTarget, parseTarget } from "../protocol/stream.ts";
import { freePort } from "../testing/program.ts";
import { untilReachable } from "../testing/socks_client.ts";
import { eventually } from "../testing/waiting.ts";
import { Processes } from "./chaos/fixtures/processes.ts";
import { Balancer } from "./fixtures/balancer.ts";
import { CheckedTarget, download, upload } from "./fixtures/checked_target.ts";
import { DenoFolder, HostedApp, type HostedAppOptions } from "./fixtures/hosted_app.ts";

const BYTES = 300_000;

/** Two processes of one app. */
interface Pair extends AsyncDisposable {
  readonly balancer: Balancer;
  readonly processes: readonly [HostedApp, HostedApp];
}

async function startPair({ env, ...options }: HostedAppOptions): Promise<Pair> {
  await using starting = new AsyncDisposableStack();
  const balancer = starting.use(new Balancer());
  const start = async () =>
    starting.use(await HostedApp.start({ ...options, env: { ...env, CULVERT_ADVERTISE: balancer.url } }));
  const processes = await Promise.all([start(), start()]);
  balancer.leadTo(processes.map(({ address }) => address));
  const started = starting.move();
  return { balancer, processes, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** The text of an identity.json. */
function newIdentity(): string {
  const { identityKey, wireguardKey } = generateSecrets(randomOf(crypto));
  return JSON.stringify({ identityKey: encodeBase64(identityKey), wireguardKey: encodeBase64(wireguardKey) });
}

Deno.test("two processes of each app on one store carry what is sent, and go on when one of each is killed", async (t) => {
  using folder = new DenoFolder();
  await using target = new CheckedTarget();
  await using roles = new Processes();
  await using directory = await startPair({ app: "directory", folder });
  const base = directory.balancer.url;
  const relayEnv = () => ({ CULVERT_BASE: base, CULVERT_REGION: "test", CULVERT_IDENTITY: newIdentity() });
  await using upstream = await startPair({ app: "upstream", folder, env: relayEnv() });
  await using downstream = await startPair({ app: "downstream", folder, env: relayEnv() });
  await startCentral(roles, base);
  const path = `fragments+${base}/?up=1&down=1&data=1&total=1&sessions=2`;
  const proxy = await roles.start("proxy", "proxy", ["--listen", "127.0.0.1:0", "--path", path]);
  const at = parseTarget(proxy.addresses["listen"]!)!;
  const pairs = [directory, upstream, downstream];

  await t.step("traffic goes through both processes of each", async () => {
    await untilReachable(at, target.address);
    await Promise.all([1, 2, 3, 4].map(async () => {
      await download(at, target.address, { bytes: BYTES });
      await upload(at, target.address, { bytes: BYTES });
    }));
    for (const { balancer } of pairs) assert(balancer.visits.every((count) => count > 0), `${balancer.visits}`);
  });

  await t.step("with one of each killed, traffic goes through the other", async () => {
    for (const { processes: [first] } of pairs) await first.kill();
    await untilReachable(at, target.address);
    await download(at, target.address, { bytes: BYTES });
    await upload(at, target.address, { bytes: BYTES });
  });

  await t.step("the other ends by itself when it is asked to", async () => {
    await proxy.program.stop();
    assertEquals(await Promise.all(pairs.map(({ processes: [, second] }) => second.program.stop())), [0, 0, 0]);
  });
});

Deno.test("who is announced at one process of a tracker is found at the other, also when the first is killed", async () => {
  using folder = new DenoFolder();
  await using tracker = await startPair({ app: "tracker", folder });
  const [first, second] = tracker.processes;
  const tools = { clock: clockOf(globalThis), random: randomOf(crypto), primitives };
  const announce = (peer: TestPeer, url: string) =>
    new TrackerClient({
      ...{ ...tools, signer: peer.identity, trackers: [new URL(url)] },
      describe: () => peer.card({ issuedAtMs: Date.now() }),
    });
  const [one, two, three] = [new TestPeer(1), new TestPeer(2), new TestPeer(3)];
  await using asking = new TrackerClient({ ...tools, signer: three.identity, trackers: [new URL(second.url)] });
  const untilFound = (peer: TestPeer) =>
    eventually("it is found", async () => (await asking.find(peer.id))?.card.peerId === peer.id);

  await using _one = announce(one, first.url);
  await untilFound(one);
  await first.kill();
  await using _two = announce(two, tracker.balancer.url);
  await untilFound(two);
  await untilFound(one);
  assertStringIncludes(await (await fetch(second.url)).text(), "Culvert tracker");
  assertEquals(await second.program.stop(), 0);
});

async function startCentral(roles: Processes, base: string): Promise<void> {
  const policy = roles.path("policy.toml");
  await Deno.writeTextFile(policy, 'allow_addresses = ["loopback"]\n');
  const place = formatTarget({ host: "127.0.0.1", port: freePort() });
  const where = ["--listen", place, "--advertise", `http://${place}`, "--base", base, "--region", "test"];
  await roles.start("central", "central", [...where, "--egress-policy", policy]);
}
