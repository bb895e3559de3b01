import { assert, assertEquals, assertRejects } from "@std/assert";
import { policyOf } from "../../protocol/egress_policy.ts";
import { DialError } from "../../protocol/errors.ts";
import { parseIpv4 } from "../../protocol/ip.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { NodeReport } from "../../protocol/sharing/node_report.ts";
import { parseProxyLogin } from "../../protocol/sharing/proxy_login.ts";
import { type Path, readFull, type Stream, type Target, writeAll } from "../../protocol/stream.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { direct } from "../egress.ts";
import { memoryStreamPair } from "../memory.ts";
import { splice } from "../splice.ts";
import { TunnelLinks } from "../tunnel_link.ts";
import type { AbuseEvent } from "./abuse_limits.ts";
import { AccountPaths } from "./account_paths.ts";
import { NodeRig, type TestNode } from "./fixtures/node_rig.ts";
import { BoothDouble } from "./fixtures/toll_double.ts";

const USER = "abcdefgh2345";
const SITE = { host: "site.test", port: 443 };

/** Clients' accounts over real tunnels in memory, whose nodes do with streams as a test says. */
class LyingRig {
  readonly rig = new NodeRig();
  readonly clock = this.rig.clock;
  readonly booth = new BoothDouble();
  readonly reports: NodeReport[] = [];
  readonly told: AbuseEvent[] = [];
  readonly accounts = new AccountPaths({
    nodes: this.rig.tunnels,
    booth: this.booth,
    quality: () => ({ score: 1, standing: "good" }),
    policy: policyOf(),
    clock: this.clock,
    random: new SeededRandom(5),
    report: (report) => this.reports.push(report),
    tellAbuse: (event) => this.told.push(event),
  });
  readonly #links = new TunnelLinks({ clock: this.clock, metrics: noMetrics });
  readonly #nodes: TestNode[] = [];

  async add(seed: number, onward: Path, status = { streams: 0, upBytes: 0, downBytes: 0 }): Promise<TestNode> {
    const onStream = (stream: Parameters<TunnelLinks["serveStream"]>[0]) => {
      this.#links.serveStream(stream, { onward, hops: [] });
    };
    const node = this.rig.node({ seed, onStream, status: () => status });
    this.#nodes.push(node);
    await this.clock.runUntil(node.client.ready());
    return node;
  }

  dial(target: Target = SITE): Promise<Stream> {
    const login = parseProxyLogin(USER);
    assert(typeof login === "object");
    return this.clock.runUntil(this.accounts.path({ userId: USER }, login).dial(target));
  }

  async end(): Promise<void> {
    this.accounts[Symbol.dispose]();
    this.#links.close();
    await this.rig.end(...this.#nodes);
    await this.clock.runUntil(this.#links.closed());
    assertEquals([this.booth.openTolls, this.booth.asideBytes], [0, 0]);
  }
}

/** What every dial leads to: the far end, as the node has it. */
function pathTo(dial: Path["dial"]): Path {
  return { dial, close() {}, [Symbol.dispose]() {} };
}

function rejectedWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

Deno.test("A node that pushes more than its client takes is credited with what the client took", async () => {
  const test = new LyingRig();
  const flood = pathTo(() => {
    const [near, far] = memoryStreamPair();
    writeAll(far, new Uint8Array(8 * 1024 * 1024)).catch(() => {});
    return Promise.resolve(near);
  });
  await test.add(100, flood, { streams: 1, upBytes: 1e12, downBytes: 1e12 });
  const stream = await test.dial();
  const [client, ours] = memoryStreamPair(4096);
  const joined = splice(ours, stream);
  await test.clock.runUntil(readFull(client, new Uint8Array(10_000)));
  await test.clock.advanceAsync(1_000);
  client.close();
  await test.clock.runUntil(joined);
  const { down } = test.booth.passed;
  assert(down >= 10_000 && down <= 10_000 + 2 * 4096, `${down} bytes were charged for 10,000`);
  await test.end();
});

Deno.test("A node that takes a dial and never answers is passed over for one that does, and known for it", async () => {
  const test = new LyingRig();
  const silent = await test.add(100, pathTo((_target, options) => rejectedWhenAborted(options!.signal!)));
  const honest = await test.add(101, pathTo(() => Promise.resolve(memoryStreamPair()[0])));
  for (let turn = 0; turn < 8; turn++) (await test.dial()).close();
  const kinds = (nodeId: string) =>
    new Set(test.reports.filter((each) => each.nodeId === nodeId).map(({ kind }) => kind));
  assertEquals(kinds(silent.nodeId), new Set(["silent"]));
  assertEquals(kinds(honest.nodeId), new Set(["dialled"]));
  await test.end();
});

Deno.test("A node that says yes and stalls is known for it", async () => {
  const test = new LyingRig();
  await test.add(100, pathTo(() => Promise.resolve(memoryStreamPair()[0])));
  const stream = await test.dial();
  await test.clock.runUntil(writeAll(stream, new Uint8Array(100)));
  await test.clock.advanceAsync(10_000);
  stream.close();
  assertEquals(test.reports.map(({ kind }) => kind), ["dialled", "stalled"]);
  await test.end();
});

Deno.test("A name that leads to a private address, the first time or only later, is refused by every node and told", async () => {
  const test = new LyingRig();
  let asked = 0;
  const resolver = {
    resolve: () => Promise.resolve([parseIpv4(asked++ === 0 ? "93.184.216.34" : "192.168.0.1")!]),
  };
  const dialled: string[] = [];
  const connect = ({ hostname }: { hostname: string }) => {
    dialled.push(hostname);
    return Promise.resolve<Stream>(memoryStreamPair()[0]);
  };
  using onward = direct(policyOf(), { clock: test.clock, resolver, connect, ownAddresses: () => [] });
  await test.add(100, onward);
  (await test.dial()).close();
  const error = await assertRejects(() => test.dial(), DialError);
  assertEquals(error.code, "denied");
  assertEquals(dialled, ["93.184.216.34"]);
  assertEquals(test.told.at(-1)?.kind, "target_denied_by_node");
  await test.end();
});

Deno.test("A node that goes in the middle of a stream ends it as a failure, and what was delivered stays charged", async () => {
  const test = new LyingRig();
  const fars: Stream[] = [];
  const node = await test.add(
    100,
    pathTo(() => {
      const [near, far] = memoryStreamPair();
      fars.push(far);
      return Promise.resolve(near);
    }),
  );
  const stream = await test.dial();
  await test.clock.runUntil(writeAll(fars[0]!, new Uint8Array(1000)));
  assertEquals(await test.clock.runUntil(stream.read(new Uint8Array(4096))), 1000);
  const reading = assertRejects(() => stream.read(new Uint8Array(4096)));
  node.client.close();
  await test.clock.runUntil(reading);
  assertEquals(test.booth.passed.down, 1000);
  stream.close();
  await test.end();
});
