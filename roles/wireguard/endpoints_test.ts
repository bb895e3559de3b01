import { assertEquals, assertRejects } from "@std/assert";
import { parseIp } from "../../protocol/ip.ts";
import { parseQuickConfig, type QuickPeer } from "../../protocol/wireguard/quick_config.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type EndpointTools, type Lookup, type NamedPeer, resolveEventually, resolveOnce } from "./endpoints.ts";

const KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const ADDRESS = parseIp("192.0.2.7")!;

function peersTo(...endpoints: readonly string[]): readonly QuickPeer[] {
  return parseQuickConfig(endpoints.map((to) => `[Peer]\nPublicKey = ${KEY}\nEndpoint = ${to}\n`).join("")).peers;
}

function toolsWith(
  lookup: Lookup,
  signal = new AbortController().signal,
): EndpointTools & { clock: FakeClock; log: LogCollector } {
  return { lookup, signal, clock: new FakeClock(), random: new SeededRandom(1), log: new LogCollector() };
}

Deno.test("addresses need no lookup, names get the first address found, the others are missing", async () => {
  const peers = peersTo("192.0.2.1:1", "[fd00::1]:2", "there.example:3", "nowhere.example:4", "broken.example:5");
  const asked: string[] = [];
  const tools = toolsWith((name) => {
    asked.push(name);
    if (name === "broken.example") return Promise.reject(new Error("the resolver is gone"));
    return Promise.resolve(name === "there.example" ? [ADDRESS, parseIp("192.0.2.8")!] : []);
  });
  const { found, missing } = await resolveOnce(peers, tools);
  assertEquals(asked, ["there.example", "nowhere.example", "broken.example"]);
  assertEquals(found.get(peers[1]!), { address: parseIp("fd00::1")!, port: 2 });
  assertEquals(found.get(peers[2]!), { address: ADDRESS, port: 3 });
  assertEquals(missing, peers.slice(3) as NamedPeer[]);
});

Deno.test("a resolver that never answers holds nobody up for longer than five seconds", async () => {
  const tools = toolsWith(() => new Promise(() => {}));
  const resolving = resolveOnce(peersTo("slow.example:1"), tools);
  await tools.clock.advanceAsync(5000);
  assertEquals((await resolving).missing.length, 1);
});

Deno.test("a stop ends the wait for names", async () => {
  const stop = new AbortController();
  const tools = toolsWith(() => new Promise(() => {}), stop.signal);
  const resolving = resolveOnce(peersTo("slow.example:1"), tools);
  stop.abort(new Error("stopped"));
  await assertRejects(() => resolving, Error, "stopped");
});

Deno.test("a missing name is tried until it is found, and then no more", async () => {
  let lookups = 0;
  const tools = toolsWith(() => Promise.resolve(++lookups < 5 ? [] : [ADDRESS]));
  const found: Endpoint[] = [];
  const resolving = resolveEventually(peersTo("late.example:9")[0] as NamedPeer, tools, (endpoint) => {
    found.push(endpoint);
    return Promise.resolve();
  });
  await tools.clock.advanceAsync(10 * 60_000);
  await resolving;
  assertEquals(found, [{ address: ADDRESS, port: 9 }]);
  assertEquals(lookups, 5);
  assertEquals(tools.log.text().includes("late.example"), false, "a visited host stays out of the log");
});

Deno.test("trying ends quietly with the signal", async () => {
  const stop = new AbortController();
  const tools = toolsWith(() => Promise.resolve([]), stop.signal);
  const resolving = resolveEventually(peersTo("late.example:9")[0] as NamedPeer, tools, () => Promise.resolve());
  await tools.clock.advanceAsync(60_000);
  stop.abort(new Error("stopped"));
  await resolving;
  assertEquals(tools.log.text("error"), "");
});
