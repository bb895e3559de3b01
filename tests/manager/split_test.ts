/** A proxy that divides streams, as a process, over other programs' proxies and over KCP: which side is better is told. */

import { assert, assertEquals, assertGreater, assertLess, assertStringIncludes } from "@std/assert";
import { type Measure, type SplitReport, splitReportSchema } from "../../protocol/split/report.ts";
import { formatTarget } from "../../protocol/stream.ts";
import { DelayRelay } from "../../testing/delay_relay.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { Processes, type RoleProcess } from "../chaos/fixtures/processes.ts";
import { culvert, Ends, freeUdpPort } from "../transports/fixtures/ends.ts";
import { CuttingRelay, fetchPages, LosingRelay, Page, startMicrosocks } from "./fixtures/sides.ts";

const tools = ["curl", "microsocks"];

async function startSplit(processes: Processes, paths: readonly string[], flags: readonly string[] = []) {
  return await processes.start("proxy", "proxy", [
    ...["--listen", "127.0.0.1:0", "--combine", "split", ...flags],
    ...paths.flatMap((path) => ["--path", path]),
  ]);
}

function ask(proxy: RoleProcess, ...flags: string[]): Promise<string> {
  return culvert("proxy", "report", "--listen", proxy.addresses.listen!, "--state-dir", proxy.stateDir, ...flags);
}

async function reportOf(proxy: RoleProcess): Promise<SplitReport> {
  return splitReportSchema.parse(JSON.parse(await ask(proxy, "--json")));
}

function found(report: SplitReport, measure: Measure): string {
  return report.verdicts.find((verdict) => verdict.measure === measure)!.found;
}

testWith(
  { tools },
  "of two SOCKS programs one is far away: the report says that the near one is better, and curl got all",
  async () => {
    await using processes = new Processes();
    await using page = new Page(300_000);
    const [near, far] = await Promise.all([startMicrosocks(), startMicrosocks()]);
    await using _near = near.program;
    await using _far = far.program;
    await using relay = DelayRelay.start({ to: far.at, delayMs: 40 });
    const proxy = await startSplit(processes, [
      `socks5://${formatTarget(near.at)}`,
      `socks5://${formatTarget(relay.address)}`,
    ]);
    assertEquals(await fetchPages(proxy.addresses.listen!, page.url, 60), 60);
    const report = await reportOf(proxy);
    assertEquals(report.sides.map(({ drawn, failed }) => [drawn, failed]), [[30, 0], [30, 0]]);
    for (const measure of ["dialMs", "firstByteMs", "bytesPerS"] as const) {
      assertEquals(found(report, measure), "first_is_better", measure);
    }
    assertEquals([found(report, "success"), found(report, "broken")], ["same", "same"]);
    // Two round trips of 80 ms, within SOCKS; a timer may fire a little early.
    assertGreater(report.sides[1]!.dialMs.p50!, 150);
    assertGreater(report.sides[0]!.receivedBytes, 30 * 300_000);
    const metrics = await proxy.metrics();
    assertStringIncludes(metrics, `split_dials_total{side="socks5://${formatTarget(near.at)}",result="opened"} 30`);
    const table = await ask(proxy);
    assertStringIncludes(table, "dial         A is better");
    assert(table.split("\n").every((line) => line.length <= 80), table);
  },
);

testWith({ tools }, "a side that fails one time in three is the worse one, and no page is missing for it", async () => {
  await using processes = new Processes();
  await using page = new Page(1000);
  const { at, program } = await startMicrosocks();
  await using _program = program;
  await using relay = new CuttingRelay(at);
  const paths = [`socks5://${formatTarget(relay.at)}`, `socks5://${formatTarget(at)}`];
  const proxy = await startSplit(processes, paths, ["--weight", "2", "--weight", "1"]);
  assertEquals(await fetchPages(proxy.addresses.listen!, page.url, 120), 120);
  const report = await reportOf(proxy);
  assertEquals(report.sides.map(({ drawn }) => drawn), [80, 40]);
  assertEquals(found(report, "success"), "other_is_better");
  assertEquals(report.sides[1]!.tookOver, report.sides[0]!.failed);
  // Its last word is the report.
  const told = proxy.program.readLine();
  await proxy.program.stop();
  assertEquals(splitReportSchema.parse(JSON.parse(await told)).sides.map(({ drawn }) => drawn), [80, 40]);
});

testWith({ tools: ["curl"] }, "of two KCP paths one loses packets: that shows, side by side", async () => {
  await using processes = new Processes();
  await using ends = new Ends(processes);
  await using page = new Page(1000);
  const port = freeUdpPort();
  await ends.server(port);
  await using relay = new LosingRelay(port, 8);
  const good = await ends.invite("alice", port);
  const bad = (await ends.invite("bob", port)).replace(`:${port}/`, `:${relay.port}/`);
  const proxy = await startSplit(processes, [good, bad]);
  await eventually("both sides are up", async () => (await reportOf(proxy)).sides.every(({ up }) => up));
  assertEquals(await fetchPages(proxy.addresses.listen!, page.url, 30, 60_000), 30);
  const [alice, bob] = (await reportOf(proxy)).sides;
  const share = ({ sent, resent }: { readonly sent: number; readonly resent: number }) => resent / sent;
  assertGreater(share(bob!.packets!), 0.05);
  assertLess(share(alice!.packets!), share(bob!.packets!) / 2);
  assert(!(await ask(proxy)).includes("CREDENTIAL") && !bob!.name.includes("@"), bob!.name);
});

Deno.test("asked where nothing splits, the command says so", async () => {
  await using processes = new Processes();
  const proxy = await processes.start("proxy", "proxy", ["--listen", "127.0.0.1:0"]);
  const error = await ask(proxy).then(() => "", (error) => (error as Error).message);
  assertStringIncludes(error, "no proxy that splits listens on");
});
