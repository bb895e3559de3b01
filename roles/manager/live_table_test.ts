import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ManagerReport, ServiceReport } from "../../protocol/manager/report.ts";
import { stoppedReport } from "./fixtures/fake_manager.ts";
import { liveTable } from "./live_table.ts";
import { plainPaint } from "./styles.ts";
import { WatchModel, type Wish } from "./watch_model.ts";

const NOW_MS = 1_000_000;

function reportOf(services: readonly (Partial<ServiceReport> & { name: string })[]): ManagerReport {
  return {
    ...{ pid: 4711, backend: "own", startedMs: 0, nowMs: NOW_MS, problems: [] },
    services: services.map((service) => ({ ...stoppedReport(service.name), ...service })),
  };
}

function watching(...names: readonly string[]): WatchModel {
  const model = new WatchModel();
  model.see(reportOf(names.map((name) => ({ name, state: "running", health: "healthy" }))), []);
  return model;
}

function press(model: WatchModel, keys: string): (Wish | undefined)[] {
  return keys.split(" ").map((key) => model.press(key));
}

const frame = (model: WatchModel, columns = 80, rows = 12) => liveTable(model, { columns, rows, paint: plainPaint });

Deno.test("a frame has the services, what there is to say of the chosen one, and the keys", () => {
  const model = new WatchModel();
  const services = [
    { name: "kcp", state: "running", health: "healthy", pid: 10 } as const,
    { name: "paqet", gaveUp: true, reason: "it ended 5 times within 300 s", restarts: 5 },
    { name: "xray", nextStartMs: NOW_MS + 4000, reason: "SIGSEGV", notes: ["its unit was edited"] },
  ];
  const stats = { name: "kcp", state: "running", health: "healthy", restarts: 0, uptimeMs: 7_200_000 } as const;
  model.see(reportOf(services), [{
    ...stats,
    cpuPercent: 0.31,
    memoryBytes: 50 * 2 ** 20,
    connections: 3,
    inBitsPerS: 1.25e6,
  }]);
  model.press("j");
  assertEquals(frame(model), [
    "3 services: 1 running, 1 waiting, 1 gave up                   manager 4711, own",
    "",
    "  SERVICE  STATE        UP    CPU    MEM  CONN   IN/S  OUT/S  RST  HEALTH",
    "  kcp      running      2h   0.3%    50M     3   1.3M      -    0  ok",
    "> paqet    gave up       -      -      -     -      -      -    5  -".padEnd(79),
    "  xray     waiting       -      -      -     -      -      -    0  -",
    "",
    "",
    "",
    "",
    "paqet: it ended 5 times within 300 s; only start starts it again",
    "↑↓ choose  s start  x stop  r restart  l log  / filter  ? help  q quit",
  ]);
  model.press("j");
  assertEquals(frame(model).at(-2), "xray: SIGSEGV; starts again in 4s; its unit was edited");
});

Deno.test("frames fit any terminal, in any mode", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/);
  const keys = fc.constantFrom("j", "k", "end", "x", "r", "/", "a", "l", "?", "escape", "enter", "page-down");
  const arguments_ = [fc.uniqueArray(name, { maxLength: 40 }), fc.array(keys, { maxLength: 8 })] as const;
  fc.assert(
    fc.property(
      ...arguments_,
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 50 }),
      (names, keys, columns, rows) => {
        const model = watching(...names);
        for (const key of keys) model.press(key);
        model.addLogLine("a log line ".repeat(30));
        const lines = frame(model, columns, rows);
        assertEquals(lines.length, rows);
        // Below what a name and a state need, the terminal cuts.
        if (columns > 27) { for (const line of lines) assert(line.length < columns, `${columns}: ${line}`); }
      },
    ),
  );
});

Deno.test("the chosen one stays in sight, and chosen, whatever comes and goes", () => {
  const names = Array.from({ length: 50 }, (_, at) => `service-${String(at).padStart(2, "0")}`);
  const model = watching(...names);
  press(model, "end k");
  assertEquals(model.chosen?.name, "service-48");
  assert(frame(model).some((line) => line.startsWith("> service-48")));
  model.see(reportOf(names.slice(10).map((name) => ({ name }))), []);
  assertEquals(model.chosen?.name, "service-48");
  model.see(reportOf([{ name: "other" }]), []);
  assertEquals(model.chosen?.name, "other");
  model.see(reportOf([]), []);
  assertEquals([model.chosen, ...press(model, "s x r l j")], [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assert(frame(model).includes("There are no services"));
});

Deno.test("keys start at once, and stop and restart once that is confirmed", () => {
  const model = watching("kcp", "paqet");
  assertEquals(press(model, "s"), [{ do: "start", name: "kcp" }]);
  assertEquals(press(model, "down x n x y"), [undefined, undefined, undefined, undefined, {
    do: "stop",
    name: "paqet",
  }]);
  model.press("r");
  assertEquals(frame(model).at(-1), "restart paqet? y/n");
  assertEquals(press(model, "y q"), [{ do: "restart", name: "paqet" }, { do: "quit" }]);
  assertEquals(press(model, "x ctrl-c ctrl-z ctrl-l"), [
    ...[undefined, { do: "quit" } as const, { do: "suspend" } as const, { do: "redraw" } as const],
  ]);
});

Deno.test("a filter takes letters that are keys elsewhere", () => {
  const model = watching("kcp", "paqet", "xray", "xray-quic");
  assertEquals(press(model, "/ x r q backspace"), [undefined, undefined, undefined, undefined, undefined]);
  assertEquals(model.rows.map(({ name }) => name), ["xray", "xray-quic"]);
  press(model, "down enter");
  assertEquals(press(model, "s"), [{ do: "start", name: "xray-quic" }]);
  press(model, "escape");
  assertEquals([model.rows.length, model.chosen?.name], [4, "xray-quic"]);
});

Deno.test("a log shows its last lines until a key closes it", () => {
  const model = watching("kcp");
  assertEquals(press(model, "l"), [{ do: "open-log", name: "kcp" }]);
  for (let at = 0; at < 1000; at++) model.addLogLine(`line ${at}\x1b[2J`);
  assertEquals(frame(model, 80, 5), ["Log of kcp", "", "line 998\\u001b[2J", "line 999\\u001b[2J", "q back"]);
  assert(model.mode.kind === "log" && model.mode.lines.length === 500);
  assertEquals(press(model, "q q"), [{ do: "close-log" }, { do: "quit" }]);
});

Deno.test("a manager that does not answer is told, and what was known stays", () => {
  const model = watching("kcp");
  model.lose();
  assert(frame(model)[0]!.startsWith("The manager does not answer"));
  assert(frame(model)[3]!.startsWith("> kcp "));
  model.see(reportOf([{ name: "kcp" }]), []);
  assert(frame(model)[0]!.startsWith("1 service"));
});
