import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readProcStat } from "../../native/proc_files.ts";
import { clockOf } from "../../protocol/clock.ts";
import type { ServicePort } from "../../protocol/manager/service.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { type ChecksOptions, serviceChecks } from "./checks.ts";
import { fakeService } from "./fixtures/fake_service.ts";

const process = { pid: 7, startTicks: 70, startedMs: 0 };
const signal = new AbortController().signal;

function checks(options: Partial<ChecksOptions> & { readonly listening?: readonly ServicePort[] } = {}) {
  const { listening = [] } = options;
  return serviceChecks({
    clock: new FakeClock(),
    ports: { listening: (ports) => Promise.resolve(ports.map((port) => listening.includes(port))) },
    startTicksOf: () => 70,
    ownerOf: () => Promise.resolve(undefined),
    ...options,
  });
}

function tcp(port: number, host = "127.0.0.1"): ServicePort {
  return { kind: "tcp", at: { host, port } };
}

Deno.test("level 1: a process is known by its pid and its start", async () => {
  const service = fakeService("web", { listen: [tcp(80)] });
  assertEquals(await checks({ startTicksOf: () => undefined }).check(service, process, signal), {
    level: "pid",
    reason: "Its process 7 is gone",
  });
  assertEquals(await checks({ startTicksOf: () => 71 }).checkStart(service, process), {
    level: "pid",
    reason: "Its process is gone, and 7 is another's by now",
  });
});

Deno.test("level 1: without being told otherwise the kernel is asked", async () => {
  const real = serviceChecks({
    clock: new FakeClock(),
    ports: { listening: () => Promise.resolve([]) },
    ownerOf: () => Promise.resolve(undefined),
  });
  const { startTicks } = readProcStat(Deno.pid)!;
  assertEquals(await real.checkStart(fakeService("web"), { ...process, pid: Deno.pid, startTicks }), undefined);
  const other = await real.checkStart(fakeService("web"), { ...process, pid: Deno.pid, startTicks: startTicks - 1 });
  assertEquals(other?.level, "pid");
});

Deno.test("level 2: what should listen does, by the table alone", async () => {
  const listen = [tcp(80), { kind: "udp", at: { host: "::1", port: 53 } } as const];
  const service = fakeService("web", { listen });
  assertEquals(await checks({ listening: listen }).check(service, process, signal), undefined);
  assertEquals(await checks({ listening: [listen[0]!] }).check(service, process, signal), {
    level: "port",
    reason: "Nothing listens on [::1]:53 (UDP)",
  });
});

Deno.test("level 3: a connection is tried where the service wants it, and never at the start", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = tcp((listener.addr as Deno.NetAddr).port, "0.0.0.0");
  const closed = tcp(freePort());
  const options = { listening: [open, closed], clock: clockOf(globalThis) };
  const service = fakeService("web", { listen: [open], connects: true });
  assertEquals(await checks(options).check(service, process, signal), undefined);
  const dead = fakeService("web", { listen: [open, closed], connects: true });
  assertEquals(await checks(options).checkStart(dead, process), undefined);
  const failure = await checks(options).check(dead, process, signal);
  assertEquals(failure?.level, "connection");
  assertStringIncludes(failure!.reason, `No connection to 127.0.0.1:${closed.at.port}: `);
  assertEquals(await checks(options).check({ ...dead, connects: false }, process, signal), undefined);
});

Deno.test("level 4: a request is answered, or the level is told", async () => {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("x"));
  const probe = { url: `http://127.0.0.1:${server.addr.port}/`, timeoutMs: 20_000 };
  const options = { clock: clockOf(globalThis) };
  assertEquals(await checks(options).check(fakeService("web", { probe }), process, signal), undefined);
  const wants = fakeService("web", { probe: { ...probe, status: 204 } });
  assertEquals(await checks(options).check(wants, process, signal), {
    level: "end-to-end",
    reason: `No good answer from 127.0.0.1:${server.addr.port}: status 200`,
  });
});

Deno.test("a look that is aborted gives no verdict", async () => {
  const controller = new AbortController();
  controller.abort(new Error("over"));
  await assertRejects(() => checks().check(fakeService("web"), process, controller.signal), Error, "over");
});

Deno.test("a port that another has is told with its owner, where that can be found", async () => {
  const [first, second] = [tcp(80), tcp(81)];
  const service = fakeService("web", { listen: [first, second] });
  assertEquals(await checks().portTaken(service), undefined);
  const ownerOf = (port: ServicePort) => Promise.resolve(port === second ? { pid: 9, program: "nginx" } : undefined);
  assertEquals((await checks({ ownerOf }).portTaken(service))?.reason, "127.0.0.1:81 is taken by nginx (pid 9)");
  const unseen = "127.0.0.1:80 is taken by a program that cannot be seen";
  assertEquals((await checks({ listening: [first] }).portTaken(service))?.reason, unseen);
});

/** Nobody listens there for now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
