import { assertEquals, assertThrows } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import type { UserLimits } from "../../protocol/sharing/records.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { type AbuseEvent, AbuseLimits, defaultAbuseLimits } from "./abuse_limits.ts";

const TARGET = { host: "site.test", port: 443 };

function limitsWith(own: UserLimits) {
  const clock = new FakeClock();
  const told: AbuseEvent[] = [];
  const limits = new AbuseLimits({
    userId: "ann",
    clock,
    defaults: defaultAbuseLimits,
    tell: (event) => told.push(event),
  });
  limits.apply(own);
  return { clock, told, limits };
}

function assertBusy(act: () => void, words: string): void {
  const error = assertThrows(act, DialError, words);
  assertEquals([error.code, error.isForAll], ["busy", true]);
}

Deno.test("An account has as many connections as it may, and another when one has ended", () => {
  const { limits } = limitsWith({ maxConnections: 2 });
  limits.admit(TARGET);
  limits.admit(TARGET);
  assertBusy(() => limits.admit(TARGET), "2 connections");
  limits.released("stream");
  limits.admit(TARGET);
  assertEquals(limits.open, 2);
});

Deno.test("An account cannot take the UDP sockets that all share", () => {
  const { limits, told } = limitsWith({ maxConnectionsPerSecond: 1000 });
  for (let socket = 0; socket < 64; socket++) limits.admit();
  assertBusy(() => limits.admit(), "64 UDP sockets");
  limits.admit(TARGET);
  limits.released("stream");
  assertBusy(() => limits.admit(), "64 UDP sockets");
  limits.released("datagrams");
  limits.admit();
  assertEquals([limits.open, told.length], [64, 1]);
});

Deno.test("An account opens as many connections a second as it may", () => {
  const { clock, limits } = limitsWith({ maxConnectionsPerSecond: 10 });
  for (let turn = 0; turn < 20; turn++) limits.admit(TARGET);
  assertBusy(() => limits.admit(TARGET), "connections a second");
  clock.advance(100);
  limits.admit(TARGET);
  assertBusy(() => limits.admit(TARGET), "connections a second");
});

Deno.test("A scan of ports is stopped at the number of destinations, which the known ones still are", () => {
  const { clock, limits, told } = limitsWith({ maxTargetsPerMinute: 5 });
  const scan = () => Array.from({ length: 20 }, (_, port) => limits.admit({ host: "192.0.2.1", port: port + 1 }));
  assertBusy(scan, "destinations");
  assertBusy(() => limits.admit({ host: "192.0.2.2", port: 1 }), "destinations");
  limits.admit({ host: "192.0.2.1", port: 5 });
  assertEquals(told.map(({ kind, userId }) => [kind, userId]), [["targets", "ann"]]);
  clock.advance(60_000);
  limits.admit({ host: "192.0.2.2", port: 1 });
});

Deno.test("A refusal is told once per burst, with how many there were since", () => {
  const { clock, limits, told } = limitsWith({ maxConnections: 1 });
  limits.admit(TARGET);
  const refuse = () => assertBusy(() => limits.admit(TARGET), "connections");
  for (let turn = 0; turn < 4; turn++) refuse();
  assertEquals(told.map(({ count }) => count), [1]);
  clock.advance(60_000);
  refuse();
  assertEquals(told.map(({ count }) => count), [1, 4]);
});

Deno.test("An account carries as many bytes a day as it may, and again the next day", () => {
  const { clock, limits } = limitsWith({ maxBytesPerDay: 1000 });
  limits.admit(TARGET);
  assertEquals(limits.carried(999), undefined);
  assertEquals(limits.carried(1)?.code, "busy");
  assertBusy(() => limits.admit(TARGET), "bytes today");
  clock.advance(86_400_000);
  limits.admit(TARGET);
});

Deno.test("Bytes wait for the account's rate, and for nothing where there is none", () => {
  assertEquals(limitsWith({}).limits.paceMs(1e9), 0);
  const { clock, limits } = limitsWith({ maxBytesPerSecond: 1000 });
  assertEquals(limits.paceMs(100), 0);
  assertEquals(limits.paceMs(500), 500);
  clock.advance(500);
  assertEquals(limits.paceMs(100), 100);
});

Deno.test("New limits count at once, and the same ones change nothing", () => {
  const { limits } = limitsWith({ maxConnections: 1 });
  limits.admit(TARGET);
  assertBusy(() => limits.admit(TARGET), "1 connections");
  limits.apply({ maxConnections: 2 });
  limits.admit(TARGET);
});
