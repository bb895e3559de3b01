import { assertEquals } from "@std/assert";
import { noMetrics } from "../../protocol/metrics.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { TrafficRates } from "../peer/traffic_rates.ts";
import { ExitTelemetry } from "./telemetry.ts";

Deno.test("rates are those since the last ping, and the load is that of what is scarcest", () => {
  const clock = new FakeClock();
  const traffic = { rxBytes: 0, txBytes: 0 };
  let sessions = 0;
  const telemetry = new ExitTelemetry({
    rates: new TrafficRates(traffic, clock),
    bandwidthMbps: 100,
    maxSessions: 10,
    sessionCount: () => sessions,
    isDraining: () => false,
    onChange() {},
    clock,
    metrics: noMetrics,
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

Deno.test("what is carried as packets counts with the rest, and is told of besides", () => {
  const clock = new FakeClock();
  const wireguard = { peers: 1, rxBytes: 7, txBytes: 8 };
  const packets = { spareClients: 5, limitMbps: 20 };
  const telemetry = new ExitTelemetry({
    rates: new TrafficRates({ rxBytes: 0, txBytes: 0 }, clock),
    bandwidthMbps: 100,
    maxSessions: 10,
    sessionCount: () => 1,
    isDraining: () => false,
    packets: () => ({ packets, wireguard, rxMbps: 30, txMbps: 50 }),
    onChange() {},
    clock,
    metrics: noMetrics,
  });
  assertEquals(telemetry.take(), {
    rxMbps: 30,
    txMbps: 50,
    spareMbps: 50,
    load: 0.5,
    sessions: 1,
    draining: false,
    packets,
    wireguard,
  });
});

Deno.test("a way out that fails is told with how often it has", async () => {
  const clock = new FakeClock();
  let changes = 0;
  const telemetry = new ExitTelemetry({
    rates: new TrafficRates({ rxBytes: 0, txBytes: 0 }, clock),
    bandwidthMbps: 1,
    maxSessions: 1,
    sessionCount: () => 0,
    isDraining: () => false,
    onChange: () => changes++,
    clock,
    metrics: noMetrics,
  });
  const stop = new AbortController();
  const onward = {
    dial: () => Promise.reject(new Error("unplugged")),
    close() {},
    [Symbol.dispose]() {},
  };
  const watching = telemetry.watch(onward, stop.signal);
  await clock.advanceAsync(3_000);
  assertEquals(telemetry.take().dataPath, { ok: false, failures: 2 });
  assertEquals([telemetry.problem, changes], ["unplugged", 1]);
  stop.abort();
  await watching;
  assertEquals(clock.pendingTimers, 0);
});
