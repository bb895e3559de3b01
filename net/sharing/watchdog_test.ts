import { assert, assertEquals } from "@std/assert";
import { probeRoutes } from "../../edge/orchestrator/probe.ts";
import { clockOf } from "../../protocol/clock.ts";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { ProbeTickets } from "../../protocol/sharing/probe_ticket.ts";
import type { Stream } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { eventually } from "../../testing/waiting.ts";
import { liveNode, NodeList } from "./fixtures/live_node.ts";
import { type NodeProbe, Watchdog, type WatchdogOptions } from "./watchdog.ts";

const tickets = new ProbeTickets(new Uint8Array(32).fill(7));
const clock = clockOf(globalThis);
const random = new SeededRandom(1);

interface Site extends AsyncDisposable {
  readonly url: URL;
  dial(): Promise<Stream>;
}

function serve(answer: (request: Request, address: string) => Response | Promise<Response>): Site {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, (request, { remoteAddr }) => answer(request, remoteAddr.hostname));
  return {
    url: new URL(`http://127.0.0.1:${server.addr.port}`),
    dial: () => Deno.connect({ hostname: "127.0.0.1", port: server.addr.port }),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function orchestrator(): Site {
  const app = probeRoutes({ tickets, clock });
  return serve((request, remoteAddress) => app.fetch(request, { remoteAddress }));
}

function watchdog(site: Site, more: Partial<WatchdogOptions> = {}): Watchdog {
  return new Watchdog({
    ...{ nodes: new NodeList(), url: () => site.url, tickets, clock, random, log: silentLog, metrics: noMetrics },
    onProbe() {},
    isNewcomer: () => false,
    ...more,
  });
}

Deno.test("a node that passes a probe on is measured, and where it comes out is known", async () => {
  await using site = orchestrator();
  await using dog = watchdog(site);
  const probe = await dog.probe(liveNode({ nodeId: "a", dial: site.dial }), 100_000);
  assert(probe.outcome.latencyMs! > 0 && probe.outcome.throughputMbps! > 0);
  assertEquals({ ...probe, outcome: undefined }, { outcome: undefined, exitAddress: "127.0.0.1" });
});

const wrongAnswers: readonly { name: string; answer: (request: Request) => Response; isLie: boolean }[] = [
  { name: "another site answers", answer: () => new Response("welcome"), isLie: true },
  {
    name: "somebody makes up a proof",
    answer: () =>
      new Response("", { headers: { "culvert-probe-proof": "A".repeat(22), "culvert-probe-address": "8.8.8.8" } }),
    isLie: true,
  },
  {
    name: "an answer is used again, whose ticket was another",
    answer: () => {
      const proof = tickets.proof(tickets.issue(clock.wallNow() + 9999, random), "8.8.8.8", 0);
      return new Response("", { headers: { "culvert-probe-proof": proof, "culvert-probe-address": "8.8.8.8" } });
    },
    isLie: true,
  },
  {
    name: "the address was changed on the way",
    answer: (request) => {
      const proof = tickets.proof(new URL(request.url).pathname.slice(7), "192.0.2.1", 0);
      return new Response("", { headers: { "culvert-probe-proof": proof, "culvert-probe-address": "8.8.8.8" } });
    },
    isLie: true,
  },
  {
    name: "something is added to the answer",
    answer: (request) => {
      const proof = tickets.proof(new URL(request.url).pathname.slice(7), "192.0.2.1", 0);
      return new Response("an advertisement", {
        headers: { "culvert-probe-proof": proof, "culvert-probe-address": "192.0.2.1" },
      });
    },
    isLie: true,
  },
  { name: "the orchestrator is busy", answer: () => new Response("busy", { status: 503 }), isLie: false },
];
for (const { name, answer, isLie } of wrongAnswers) {
  Deno.test(`a probe has ${isLie ? "caught a liar" : "failed"} when ${name}`, async () => {
    await using site = serve(answer);
    await using dog = watchdog(site);
    const { outcome, lie, failure } = await dog.probe(liveNode({ nodeId: "a", dial: site.dial }));
    assertEquals(outcome, {});
    assertEquals([lie !== undefined, failure], [isLie, isLie ? undefined : "failed"]);
  });
}

Deno.test("a probe tells what a node met with, and gives up on one that stalls", async () => {
  await using site = orchestrator();
  await using dog = watchdog(site, { timeoutMs: 200 });
  const refused = liveNode({ nodeId: "a", dial: () => Promise.reject(new DialError("refused", "no")) });
  assertEquals(await dog.probe(refused), { outcome: {}, failure: "refused" });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const conn of listener) accepted.push(conn);
  })();
  const silent = liveNode({
    nodeId: "b",
    dial: () => Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
  });
  assertEquals(await dog.probe(silent), { outcome: {}, failure: "timeout" });
  listener.close();
  await accepting;
  for (const conn of accepted) conn.close();
});

/** A watchdog whose minutes pass as fast as its probes do. */
async function watched(
  site: Site,
  nodes: NodeList,
  newcomer: string | undefined,
  until: (dog: Watchdog) => boolean,
  more: Partial<WatchdogOptions> = {},
) {
  const fake = new FakeClock();
  const probes: { readonly nodeId: string; readonly atMs: number; readonly probe: NodeProbe }[] = [];
  await using dog = watchdog(site, {
    nodes,
    clock: { now: () => fake.now(), wallNow: clock.wallNow, after: (ms, callback) => fake.after(ms, callback) },
    random: new SeededRandom(1),
    timeoutMs: 3_600_000,
    isNewcomer: (nodeId) => nodeId === newcomer,
    onProbe: ({ nodeId }, probe) => void probes.push({ nodeId, atMs: fake.now(), probe }),
    ...more,
  });
  await eventually("as many probes as wanted", () => {
    fake.advance(5000);
    return until(dog) || probes.length >= 40;
  });
  return { probes, problem: dog.problem };
}

Deno.test("every node is probed about once a minute, newcomers four times, closed ones never", async () => {
  await using site = orchestrator();
  const nodes = new NodeList(
    liveNode({ nodeId: "old", dial: site.dial }),
    liveNode({ nodeId: "new", dial: site.dial }),
    liveNode({ nodeId: "paused", dial: site.dial, isOpen: false }),
  );
  const { probes, problem } = await watched(site, nodes, "new", () => false);
  const count = (of: string) => probes.filter(({ nodeId }) => nodeId === of).length;
  assertEquals(count("paused"), 0);
  assert(count("new") > 2 * count("old") && count("old") >= 5, `${count("new")} and ${count("old")}`);
  const minutes = probes.at(-1)!.atMs / 60_000;
  assert(count("old") <= minutes * 1.4 + 1, `${count("old")} in ${minutes} minutes`);
  assertEquals(problem, undefined);
});

Deno.test("where there are more nodes than can be probed in time, all have their turn", async () => {
  await using site = orchestrator();
  const ids = Array.from({ length: 12 }, (_, at) => `node${at}`);
  const nodes = new NodeList(...ids.map((nodeId) => liveNode({ nodeId, dial: site.dial })));
  const { probes } = await watched(site, nodes, undefined, () => false, { everyMs: 1000, maxAtOnce: 1 });
  const counts = ids.map((id) => probes.filter(({ nodeId }) => nodeId === id).length);
  assert(Math.min(...counts) >= 2 && Math.max(...counts) <= 5, String(counts));
});

Deno.test("a node whose owner does not open the orchestrator's port is not held to have missed a probe", async () => {
  await using site = orchestrator();
  const nodes = new NodeList(
    liveNode({ nodeId: "open", dial: site.dial }),
    liveNode({ nodeId: "narrow", dial: () => Promise.reject(new DialError("denied", "its policy")) }),
  );
  const { probes } = await watched(site, nodes, undefined, () => false, { everyMs: 5000 });
  assertEquals(probes.filter(({ nodeId }) => nodeId === "narrow"), []);
});

Deno.test("where nobody gets a right answer the fault is ours: nobody is reported, and it is said", async () => {
  await using site = serve(() => new Response("some other site"));
  const nodes = new NodeList(
    liveNode({ nodeId: "a", dial: site.dial }),
    liveNode({ nodeId: "b", dial: () => Promise.reject(new DialError("timeout", "no")) }),
  );
  const { probes, problem } = await watched(site, nodes, undefined, (dog) => dog.problem !== undefined);
  assertEquals(probes, []);
  assert(problem?.includes(site.url.origin), problem);
});

Deno.test("where others get right answers a liar is reported, and one that fails as well", async () => {
  await using site = orchestrator();
  await using other = serve(() => new Response("another site"));
  const nodes = new NodeList(
    liveNode({ nodeId: "honest", dial: site.dial }),
    liveNode({ nodeId: "liar", dial: other.dial }),
    liveNode({ nodeId: "deaf", dial: () => Promise.reject(new DialError("timeout", "no")) }),
  );
  const { probes } = await watched(site, nodes, undefined, () => false);
  const of = (which: string) => probes.filter(({ nodeId }) => nodeId === which).map(({ probe }) => probe);
  assert(of("liar").length > 0 && of("liar").every(({ lie }) => lie !== undefined));
  assert(of("deaf").length > 0 && of("deaf").every(({ failure }) => failure === "timeout"));
  assert(of("honest").every(({ outcome }) => outcome.latencyMs !== undefined));
});
