import { assertEquals } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import { ExitTelemetry } from "./telemetry.ts";

Deno.test("rates are those since the last ping, and the load is that of what is scarcest", () => {
  const clock = new FakeClock();
  const traffic = { rxBytes: 0, txBytes: 0 };
  let sessions = 0;
  const telemetry = new ExitTelemetry({
    traffic,
    bandwidthMbps: 100,
    maxSessions: 10,
    sessionCount: () => sessions,
    isDraining: () => false,
    clock,
  });
  clock.advance(1000);
  traffic.rxBytes += 5_000_000;
  traffic.txBytes += 1_250_000;
  assertEquals(telemetry.take(), {
    rxMbps: 40,
    txMbps: 10,
    spareMbps: 60,
    load: 0.4,
    sessions: 0,
    draining: false,
  });
  clock.advance(1000);
  sessions = 9;
  const { rxMbps, spareMbps, load } = telemetry.take();
  assertEquals({ rxMbps, spareMbps, load }, { rxMbps: 0, spareMbps: 100, load: 0.9 });
});

Deno.test("a way out that fails is told with how often it has", async () => {
  const clock = new FakeClock();
  const telemetry = new ExitTelemetry({
    traffic: { rxBytes: 0, txBytes: 0 },
    bandwidthMbps: 1,
    maxSessions: 1,
    sessionCount: () => 0,
    isDraining: () => false,
    clock,
  });
  const stop = new AbortController();
  const onward = {
    dial: () => Promise.reject(new Error("unplugged")),
    close() {},
    [Symbol.dispose]() {},
  };
  const watching = telemetry.watch(onward, stop.signal);
  await clock.advanceAsync(10_000);
  assertEquals(telemetry.take().dataPath, { ok: false, failures: 2 });
  stop.abort();
  await watching;
  assertEquals(clock.pendingTimers, 0);
});
