import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { reportOf } from "../../protocol/split/report.ts";
import { SideRecord } from "../../protocol/split/side_record.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { splitReportLines } from "./report_lines.ts";

const random = new SeededRandom(1);

function sideOf(name: string, { opened = 0, failed = 0, dialMs = 10, bytesPerS = 1e6, resent = 0 } = {}) {
  const record = new SideRecord({ name, weight: 1, random, metrics: noMetrics });
  for (let at = 0; at < opened + failed; at++) {
    record.drawn();
    if (at < failed) record.count("failed");
    else {
      record.opened(dialMs + random.next());
      record.ended({
        sentBytes: 10,
        receivedBytes: 1e6,
        firstByteMs: 5,
        bytesPerS,
        isBroken: false,
        isUnanswered: false,
      });
    }
  }
  return {
    record,
    state: { up: failed < opened, lastFailure: failed > 0 ? "timeout" : undefined, packets: { sent: 100, resent } },
  };
}

function linesOf(...sides: ReturnType<typeof sideOf>[]): string[] {
  return splitReportLines(reportOf(sides, { forMs: 200_000, isSticky: false }));
}

Deno.test("the sides stand beside each other, and what differs is said in words", () => {
  const lines = linesOf(
    sideOf("kcp+udp://a.example:4000/", { opened: 40, bytesPerS: 125_000_000 }),
    sideOf("socks5://127.0.0.1:1081", { opened: 10, failed: 30, dialMs: 400, resent: 7 }),
  );
  const rowOf = (title: string) => lines.find((line) => line.startsWith(title))!.replaceAll(/ {2,}/g, "|");
  assertEquals(lines.slice(0, 4), [
    "Split for 3m20s, each stream by chance",
    "  A  kcp+udp://a.example:4000/",
    "  B  socks5://127.0.0.1:1081, down (last failure: timeout)",
    "",
  ]);
  assertEquals(rowOf("success"), "success|100.0 %|25.0 %");
  assertEquals(rowOf("throughput"), "throughput p50|1000 Mbit/s|8.00 Mbit/s");
  assertEquals(rowOf("packets"), "packets resent|0.0 %|7.0 %");
  const said = lines.slice(lines.indexOf("B against A, with 99 % certainty:"));
  assertEquals(said.slice(1).map((line) => line.trim().replaceAll(/ {2,}/g, ": ")), [
    "success: A is better",
    "streams cut: too few streams to say",
    "dial: too few streams to say",
    "first byte: too few streams to say",
    "throughput: too few streams to say",
  ]);
});

Deno.test("sides without a stream have no figures, and five sides fit", () => {
  const lines = linesOf(
    ...Array.from({ length: 5 }, (_, at) => sideOf(`socks5://127.0.0.1:${at}`, { opened: 3 * at })),
  );
  assert(lines.every((line) => line.length <= 80), lines.join("\n"));
  assertEquals(lines.filter((line) => /against A/.test(line)).length, 4);
  assertStringIncludes(lines.find((line) => line.startsWith("dial p50"))!, " -  ");
});
