/** Step C of the operational spec: heartbeats, and the end of streams that have none. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { admin, Network, type Started } from "../fixtures/control_network.ts";
import { eventually } from "../../testing/waiting.ts";
import { fastClock } from "./fixtures/fast_clock.ts";
import { authOf, newIdentity, RawStream } from "./fixtures/raw_stream.ts";

const TIMES = 20;

async function heartbeatCount(at: Started): Promise<number> {
  return Number(/^peer_heartbeat_latency_ms_count (\d+)/m.exec(await at.metrics())?.[1] ?? 0);
}

Deno.test("C: peers ping every ten seconds and tell of themselves, and so stay beyond the thirty", async () => {
  const clock = fastClock(TIMES);
  await using network = new Network({ clock });
  const here = await network.startSupernode("north");
  await network.startExit(here, "north");
  const startMs = clock.now();
  await eventually("five heartbeats with a round trip", async () => await heartbeatCount(here) >= 5);
  const passedMs = clock.now() - startMs;
  assert(passedMs > 35_000, `one in ten seconds or so, not five in ${passedMs} ms`);
  const { streams } = await admin(here, "GET", "/v1/streams");
  assertEquals(streams.map(({ role }: { role: string }) => role), ["exit"]);
  assert(streams[0].connectedMs > 35_000 && streams[0].silentMs < 15_000 && streams[0].rttMs >= 0);
});

Deno.test("C: a stream that says nothing for thirty seconds is told so, and removed; one that pings stays", async () => {
  const clock = fastClock(TIMES);
  await using network = new Network({ clock });
  const here = await network.startSupernode("north");
  await network.startExit(here, "north");
  await using silent = await RawStream.open(here);
  silent.say(authOf(newIdentity(), here));
  assertEquals((await silent.hear())?.type, "auth.response");
  const startMs = clock.now();
  assertStringIncludes(await here.metrics(), 'active_streams_total{role="exit"} 2');
  assertEquals(await silent.hear(), { type: "error", code: "timeout" });
  await silent.closed;
  const passedMs = clock.now() - startMs;
  assert(passedMs > 29_000 && passedMs < 60_000, `${passedMs} ms`);
  assertStringIncludes(await here.metrics(), 'active_streams_total{role="exit"} 1');
});

Deno.test("C: each ping is answered with its number and the supernode's time", async () => {
  await using network = new Network();
  const here = await network.startSupernode("north");
  await using stream = await RawStream.open(here);
  stream.say(authOf(newIdentity(), here));
  await stream.hear();
  for (const sequence of [1, 2, 9]) {
    stream.say({ type: "ping", sequence, telemetry: { load: 0.5 } });
    const pong = await stream.hear();
    assert(pong?.type === "pong" && Math.abs(pong.serverTimeMs - Date.now()) < 60_000);
    assertEquals(pong.sequence, sequence);
  }
});
