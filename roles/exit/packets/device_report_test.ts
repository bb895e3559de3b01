import { assertEquals } from "@std/assert";
import { silentLog } from "../../../protocol/log.ts";
import type { DeviceStatus, PeerStatus } from "../../../protocol/wireguard/settings.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { DeviceReport } from "./device_report.ts";

function peer(number: number, receivedBytes: number, sentBytes: number, lastHandshakeMs = 0): PeerStatus {
  return {
    publicKey: new Uint8Array(32).fill(number),
    persistentKeepaliveS: 20,
    lastHandshakeMs,
    receivedBytes,
    sentBytes,
    allowedIps: [],
  };
}

Deno.test("a reading tells of all peers, and of what has passed since the one before", async () => {
  const clock = new FakeClock();
  let peers: PeerStatus[] = [];
  let asked = 0;
  const status = () => {
    asked++;
    return Promise.resolve({ listenPort: 1, fwmark: 0, peers } satisfies DeviceStatus);
  };
  const report = new DeviceReport({ device: { status }, clock, log: silentLog });
  assertEquals(report.take(), undefined);
  report.take();
  await report.settled();
  assertEquals(asked, 1, "one question at a time");
  await clock.advance(1000);
  peers = [peer(1, 1_000_000, 500_000, clock.wallNow() - 7000), peer(2, 250_000, 0)];
  assertEquals(report.take(), { wireguard: { peers: 0, rxBytes: 0, txBytes: 0 }, rxMbps: 0, txMbps: 0 });
  await report.settled();
  const wireguard = { peers: 2, rxBytes: 1_250_000, txBytes: 500_000, lastHandshakeAgeMs: 7000 };
  await clock.advance(2000);
  peers = [peer(2, 500_000, 100)];
  assertEquals(report.take(), { wireguard, rxMbps: 10, txMbps: 4 });
  await report.settled();
  assertEquals(report.take()?.rxMbps, 1, "a peer that has gone has not given anything back");
  await report.settled();
});

Deno.test("a device that does not answer leaves the last reading as it was", async () => {
  const clock = new FakeClock();
  let fails = false;
  const status = () =>
    fails ? Promise.reject(new Error("no")) : Promise.resolve({ listenPort: 1, fwmark: 0, peers: [] });
  const report = new DeviceReport({ device: { status }, clock, log: silentLog });
  report.take();
  await report.settled();
  fails = true;
  const reading = report.take();
  await report.settled();
  assertEquals(report.take(), reading);
  await report.settled();
});
