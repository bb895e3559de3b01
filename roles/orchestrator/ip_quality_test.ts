import { assertEquals, assertRejects } from "@std/assert";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { ConfigError } from "../config.ts";
import type { MetricsRegistry } from "../../edge/metrics.ts";
import { type IpQualitySettings, openIpQuality } from "./ip_quality.ts";

const metrics: MetricsRegistry = { ...noMetrics, contentType: "text/plain", text: () => Promise.resolve("") };

function open(settings: IpQualitySettings, fetch: typeof globalThis.fetch = () => Promise.reject(new Error("no"))) {
  return openIpQuality(settings, { clock: new FakeClock(), log: silentLog, metrics, fetch });
}

Deno.test("without flags nobody is asked; with both the worse answer counts", async () => {
  assertEquals(await open({}), undefined);
  using temp = new TempDirectory();
  const ipRanges = temp.path("ranges");
  Deno.writeTextFileSync(ipRanges, "1.1.1.0/24 hosting\n9.9.9.9 0.9\n");
  const ipqsKeyFile = temp.path("key");
  Deno.writeTextFileSync(ipqsKeyFile, "abcdefgh12345678\n");
  let looks = 0;
  const quality = await open({ ipRanges, ipqsKeyFile }, () => {
    looks++;
    return Promise.resolve(Response.json({ success: true, fraud_score: 30 }));
  });
  assertEquals(await quality!.riskOf("1.1.1.1"), { risk: 0.3, isHosting: true });
  assertEquals(await quality!.riskOf("9.9.9.9"), { risk: 0.9, isHosting: undefined });
  assertEquals(await quality!.riskOf("9.9.9.9"), { risk: 0.9, isHosting: undefined });
  assertEquals(looks, 2);
});

Deno.test("a file or a key that is of no use stops the start", async () => {
  using temp = new TempDirectory();
  const ipqsKeyFile = temp.path("key");
  Deno.writeTextFileSync(ipqsKeyFile, "?\n");
  await assertRejects(() => open({ ipRanges: "/nowhere" }), ConfigError, "Cannot read /nowhere");
  await assertRejects(() => open({ ipqsKeyFile: "/nowhere" }), ConfigError, "/nowhere");
  await assertRejects(() => open({ ipqsKeyFile }), ConfigError, "letters and digits");
});
