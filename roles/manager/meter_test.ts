import { assertAlmostEquals, assertEquals, assertGreater, assertGreaterOrEqual, assertLess } from "@std/assert";
import type { Connection } from "../../protocol/bound_socket.ts";
import { clockOf } from "../../protocol/clock.ts";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import type { ProcStat } from "../../protocol/manager/proc_text.ts";
import { readProcStat } from "../../native/proc_files.ts";
import { openTcpTable, type TcpTable } from "../../native/tcp_table.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Program } from "../../testing/program.ts";
import { eventually } from "../../testing/waiting.ts";
import type { MeteredService } from "./limits.ts";
import { Meter, type MeteredMachine } from "./meter.ts";
import { ServiceProcesses } from "./service_processes.ts";

const MIB = 1024 * 1024;

function processOf(pid: number, more: Partial<ProcStat> = {}): ProcStat {
  return {
    pid,
    name: "service",
    state: "S",
    parentPid: 1,
    groupId: pid,
    sessionId: pid,
    userTicks: 0,
    systemTicks: 0,
    childTicks: 0,
    threads: 1,
    startTicks: 1000 + pid,
    residentPages: 100,
    ...more,
  };
}

/** A machine that is told what runs on it and what is connected. */
class Machine implements MeteredMachine {
  readonly clock = new FakeClock();
  processList: ProcStat[] = [];
  connectionList: Connection[] = [];
  reads = 0;
  readonly sockets: TcpTable = {
    bound: () => [],
    connections: (ports) => this.connectionList.filter(({ localPort }) => ports.has(localPort)),
    [Symbol.dispose]: () => {},
  };

  processes(): ServiceProcesses {
    this.reads++;
    return new ServiceProcesses(this.processList);
  }

  memoryBytesOf(pid: number): number {
    return pid * MIB;
  }

  openFilesOf(): number {
    return 5;
  }

  meter(maxAgeMs = 0): Meter {
    return new Meter({ clock: this.clock, sockets: this.sockets, machine: this, maxAgeMs });
  }

  /** A service whose main process has this pid, listening on these TCP ports. */
  service(pid: number, ports: readonly number[] = []): MeteredService {
    return {
      service: plainService(`service-${pid}`, ["/bin/service"], {
        listen: ports.map((port) => ({ kind: "tcp", at: { host: "127.0.0.1", port } })),
      }),
      process: { pid, startTicks: 1000 + pid, startedMs: this.clock.wallNow() },
    };
  }
}

Deno.test("a service is all processes of its session, and no others", async () => {
  const machine = new Machine();
  const service = machine.service(10);
  machine.processList = [processOf(10), processOf(11, { sessionId: 10 }), processOf(12), processOf(1)];
  const [usage] = await machine.meter().sample([service]);
  assertEquals([usage?.processes, usage?.memoryBytes, usage?.openFiles], [2, 21 * MIB, 10]);
});

Deno.test("a unit of systemd is all processes of its cgroup, those that left the session as well", () => {
  const machine = new Machine();
  const [service, other] = [machine.service(10), machine.service(20)];
  const processes = [processOf(10), processOf(11), processOf(20), processOf(21, { sessionId: 20 })];
  // Pid 12 came after the processes were read.
  const table = new ServiceProcesses(
    processes,
    (unit) => unit === "culvert-service-10.service" ? [10, 11, 12] : undefined,
  );
  const pidsOf = (metered: MeteredService) => table.of(metered)?.map(({ pid }) => pid);
  assertEquals([pidsOf(service), pidsOf(other)], [[10, 11], [20, 21]]);
});

Deno.test("one whose main process is gone, or whose pid another has by now, is undefined among the others", async () => {
  const machine = new Machine();
  const services = [machine.service(10), machine.service(11), machine.service(12)];
  machine.processList = [processOf(10), processOf(11, { startTicks: 5 })];
  const usages = await machine.meter().sample(services);
  assertEquals(usages.map((usage) => usage?.processes), [1, undefined, undefined]);
});

Deno.test("a main process in another's session is counted alone", async () => {
  const machine = new Machine();
  machine.processList = [processOf(1), processOf(10, { sessionId: 1 }), processOf(11, { sessionId: 1 })];
  const [usage] = await machine.meter().sample([machine.service(10)]);
  assertEquals(usage?.processes, 1);
});

Deno.test("processor time is that between two looks, children included, and since the start at the first", async () => {
  const machine = new Machine();
  const meter = machine.meter();
  const service = machine.service(10);
  machine.clock.advance(10_000);
  machine.processList = [
    processOf(10, { userTicks: 60, systemTicks: 30 }),
    processOf(11, { sessionId: 10, userTicks: 10 }),
  ];
  const [first] = await meter.sample([service]);
  assertEquals([first?.cpuPercent, first?.cpuPercentSinceStart], [undefined, 10]);
  machine.clock.advance(2_000);
  // The child ended; what it took is the main process's now.
  machine.processList = [processOf(10, { userTicks: 160, systemTicks: 130, childTicks: 10 })];
  assertEquals((await meter.sample([service]))[0]?.cpuPercent, 100);
});

Deno.test("who asks again at once is told the rate of before", async () => {
  const machine = new Machine();
  const meter = machine.meter();
  const service = machine.service(10);
  const percents: (number | undefined)[] = [];
  for (const [atMs, ticks] of [[0, 0], [500, 50], [2_000, 100], [2_010, 101], [2_990, 109], [3_000, 110]] as const) {
    machine.clock.advance(atMs - machine.clock.now());
    machine.processList = [processOf(10, { userTicks: ticks })];
    percents.push((await meter.sample([service]))[0]?.cpuPercent);
  }
  assertEquals(percents, [undefined, undefined, 50, 50, 50, 10]);
});

Deno.test("a child that takes its time with it makes no rate below nothing", async () => {
  const machine = new Machine();
  const meter = machine.meter();
  machine.processList = [processOf(10), processOf(11, { sessionId: 10, userTicks: 500 })];
  await meter.sample([machine.service(10)]);
  machine.clock.advance(1_000);
  machine.processList = [processOf(10)];
  assertEquals((await meter.sample([machine.service(10)]))[0]?.cpuPercent, 0);
});

Deno.test("a service that was restarted is counted anew", async () => {
  const machine = new Machine();
  const meter = machine.meter();
  const { service, process } = machine.service(10);
  machine.processList = [processOf(10, { userTicks: 1000 })];
  await meter.sample([{ service, process }]);
  machine.clock.advance(5_000);
  machine.processList = [processOf(20, { userTicks: 3 })];
  const [usage] = await meter.sample([{ service, process: { ...process, pid: 20, startTicks: 1020 } }]);
  assertEquals(usage?.cpuPercent, undefined);
});

Deno.test("bytes are counted by connection: those that end, and those that begin, make no leap", async () => {
  const machine = new Machine();
  const meter = machine.meter();
  const [service, other] = [machine.service(10, [1080, 1081]), machine.service(11)];
  machine.processList = [processOf(10), processOf(11)];
  const look = async (...connections: Connection[]) => {
    machine.connectionList = connections;
    const [usage, ofOther] = await meter.sample([service, other]);
    assertEquals([ofOther?.connections, ofOther?.inBitsPerS], [undefined, undefined], "it has no ports");
    machine.clock.advance(1_000);
    return [usage?.connections, usage?.inBitsPerS, usage?.outBitsPerS];
  };
  const old = { id: 1, localPort: 1080, inBytes: 1e9, outBytes: 2e9 };
  assertEquals(await look(old), [1, undefined, undefined], "what had gone before is not told");
  assertEquals(await look({ ...old, inBytes: 1e9 + 1000, outBytes: 2e9 + 500 }), [1, 8000, 4000]);
  assertEquals(await look({ id: 2, localPort: 1081, inBytes: 10, outBytes: 20 }), [1, 80, 160]);
  assertEquals(await look(), [0, 0, 0]);
  assertEquals(await look({ id: 3, localPort: 9, inBytes: 10, outBytes: 20 }), [0, 0, 0], "another's port");
});

Deno.test("where the kernel tells no bytes there are connections without a rate", async () => {
  const machine = new Machine();
  const meter = machine.meter();
  machine.processList = [processOf(10)];
  machine.connectionList = [{ id: 1, localPort: 1080 }];
  await meter.sample([machine.service(10, [1080])]);
  machine.clock.advance(1_000);
  const [usage] = await meter.sample([machine.service(10, [1080])]);
  assertEquals([usage?.connections, usage?.inBitsPerS], [1, undefined]);
});

Deno.test("many that ask one after the other share a look at all processes, until one of them is younger than it", async () => {
  const machine = new Machine();
  const meter = machine.meter(5_000);
  machine.processList = [processOf(10), processOf(11)];
  await meter.sample([machine.service(10)]);
  await meter.sample([machine.service(11)]);
  assertEquals(machine.reads, 1);
  machine.processList.push(processOf(12));
  assertEquals((await meter.sample([machine.service(12)]))[0]?.processes, 1);
  assertEquals(machine.reads, 2);
  machine.clock.advance(5_000);
  await meter.sample([machine.service(10)]);
  assertEquals(machine.reads, 3);
});

Deno.test("what a real process uses is seen: memory, files, processor time, connections", async () => {
  using sockets = openTcpTable();
  const meter = new Meter({ clock: clockOf(globalThis), sockets });
  const script = `
    const held = new Uint8Array(64 * ${MIB}).fill(1);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    console.log(JSON.stringify({ port: listener.addr.port }));
    const conn = await listener.accept();
    await conn.read(new Uint8Array(1));
    for (;;) held[0]++;`;
  await using program = new Program([Deno.execPath(), "eval", script]);
  const { port } = await program.readJson();
  const { startTicks } = readProcStat(program.pid)!;
  const metered: MeteredService = {
    service: plainService("real", ["/bin/real"], {
      listen: [{ kind: "tcp", at: { host: "127.0.0.1", port: Number(port) } }],
    }),
    process: { pid: program.pid, startTicks, startedMs: Date.now() },
  };
  const [before] = await meter.sample([metered]);
  assertEquals([before?.processes, before?.connections], [1, 0]);
  assertGreater(before!.memoryBytes, 64 * MIB);
  assertLess(before!.memoryBytes, 1024 * MIB);
  assertGreaterOrEqual(before!.openFiles, 4);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  await conn.write(new Uint8Array(1));
  await eventually("it works hard, with a connection", async () => {
    const [usage] = await meter.sample([metered]);
    return (usage?.cpuPercent ?? 0) > 10 && usage?.connections === 1 && usage.openFiles > before!.openFiles;
  });
  assertAlmostEquals(before!.memoryBytes, (await program.rssKib()) * 1024, 64 * MIB);
});
