import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { direct } from "../../net/egress.ts";
import { type MemoryStream, memoryStreamPair } from "../../net/memory.ts";
import { SharedPath } from "../../net/sharing/shared_path.ts";
import { policyOf, type PolicySource } from "../../protocol/egress_policy.ts";
import type { PolicyFile } from "../../protocol/egress_policy_file.ts";
import { parseIp } from "../../protocol/ip.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { Stream } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { nodePolicy, openPorts } from "./policy.ts";
import { limitsOf, nodeConfig } from "./settings.ts";

function sourceOf(file: PolicyFile): PolicySource {
  return { current: policyOf(file), subscribe: () => ({ [Symbol.dispose]() {} }) };
}

function portsOf(file: PolicyFile): string[] {
  return openPorts(nodePolicy(sourceOf(file), {}).current);
}

Deno.test("a node opens the web's ports unless its owner names others, and never 25", () => {
  const table: [file: PolicyFile, ports: string[]][] = [
    [{}, ["80", "443", "8080", "8443"]],
    [{ ports: { deny: [80] } }, ["443", "8080", "8443"]],
    [{ ports: { allow: [443, "20-30"] } }, ["20-24", "26-30", "443"]],
    [{ ports: { allow: ["1-65535"] } }, ["1-24", "26-65535"]],
    [{ ports: { allow: [25] } }, []],
  ];
  for (const [file, ports] of table) assertEquals(portsOf(file), ports);
});

Deno.test("of a limit in the file and one of a flag the lower holds", () => {
  const file = { limits: { max_connections: 10, max_upload_bytes_per_second: 1000 } };
  const flags = { max_connections: 20, max_upload_bytes_per_second: 500, max_datagram_sockets: 8 };
  const { limits } = nodePolicy(sourceOf(file), flags).current;
  assertEquals([limits.maxConnections, limits.maxUploadBytesPerSecond, limits.maxDatagramSockets], [10, 500, 8]);
  assertEquals(limits.maxDownloadBytesPerSecond, undefined);
});

Deno.test("the rest of the file holds as it stands, and a new file too", () => {
  const source = {
    ...sourceOf({ hosts: ["deny evil.example"], allow_addresses: ["loopback"], close_on_reload: true }),
  };
  const policy = nodePolicy(source, {});
  const before = policy.current;
  assertEquals(before, policy.current);
  assert(before.closeOnReload);
  assertEquals(before.checkName("evil.example", 443)?.code, "host_denied");
  assertEquals(before.checkAddress(parseIp("127.0.0.1")!, 443), undefined);
  assertEquals(before.checkAddress(parseIp("192.168.1.1")!, 443)?.code, "address_closed");
  source.current = policyOf();
  assertEquals(policy.current.checkAddress(parseIp("127.0.0.1")!, 443)?.code, "address_closed");
});

Deno.test("more ranges than can be told are cut off", () => {
  const allow = Array.from({ length: 100 }, (_, at) => 1000 + 2 * at);
  assertEquals(portsOf({ ports: { allow } }).length, 32);
});

Deno.test("a speed limit is kept within a tenth, each way, over all connections", async () => {
  const seconds = 20;
  const config = nodeConfig.parse({ orchestrator: ["http://127.0.0.1/"], uploadLimit: 8, downloadLimit: 16 });
  const clock = new FakeClock();
  const far: MemoryStream[] = [];
  const connect = () => {
    const [near, end] = memoryStreamPair();
    far.push(end);
    return Promise.resolve(near);
  };
  const onward = direct(nodePolicy(sourceOf({}), limitsOf(config)), { clock, connect, ownAddresses: () => [] });
  const gate = { leftBytes: Infinity, take: () => true, give() {} };
  using shared = new SharedPath({ onward, gate, metrics: noMetrics });
  const tasks: Promise<void>[] = [];
  for (let at = 0; at < 4; at++) {
    const stream = await shared.dial({ host: "1.1.1.1", port: 443 });
    tasks.push(...[[stream, far[at]!], [far[at]!, stream]].map(([from, to]) => pour(from!, to!)));
  }
  await clock.advanceAsync(seconds * 1000);
  const { upBytes, downBytes } = shared.traffic;
  const megabits = (bytes: number) => bytes * 8 / 1e6 / seconds;
  assertAlmostEquals(megabits(upBytes), 8, 0.8);
  assertAlmostEquals(megabits(downBytes), 16, 1.6);
  shared.close();
  for (const end of far) end.abort();
  await Promise.all(tasks);
});

/** As much as there is room for, until either ends. */
async function pour(from: Stream, to: Stream): Promise<void> {
  const bytes = new Uint8Array(32 * 1024);
  const reading = (async () => {
    while (await to.read(new Uint8Array(64 * 1024)) !== null);
  })().catch(() => {});
  try {
    for (;;) await from.write(bytes);
  } catch {
    await reading;
  }
}
