/** What the dashboard's pages reckon by themselves: places, ways, events, lines of the log, how much they weigh. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import * as api from "../../edge/dashboard/api.ts";
import { dashboardPageTable } from "../../edge/dashboard/page_table.ts";
import { PageFiles } from "../../edge/page_files.ts";
import * as bounds from "../../edge/web/dashboard/bounds.js";
import { EventReader } from "../../edge/web/dashboard/event_stream.js";
import { withNewer } from "../../edge/web/dashboard/live.js";
import { troubleText } from "../../edge/web/dashboard/liveness.js";
import { pathText, wayOf } from "../../edge/web/dashboard/map_curves.js";
import { HUB_RADIUS } from "../../edge/web/dashboard/map_cells.js";
import { layOut } from "../../edge/web/dashboard/map_layout.js";
import { clipped } from "../../edge/web/dashboard/map_spots.js";
import { nextInDirection } from "../../edge/web/dashboard/map_steps.js";
import { commands, orderOf } from "../../edge/web/dashboard/push.js";
import { axisTexts, RATES } from "../../edge/web/dashboard/words.js";
import { COMMAND_KINDS } from "../../protocol/control/commands.ts";
import { largeView, smallView } from "./fixtures/networks.ts";

/** All that a first visit loads must come through a slow line in a moment. */
const FIRST_LOAD_KIB = 150;

function line(id: number, atMs = id): api.LogLine {
  return { id, atMs, tone: "info", text: `line ${id}` };
}

Deno.test("map: everything drawn has its own place, within the map, at any width", () => {
  const views = [smallView(), largeView()];
  fc.assert(fc.property(fc.constantFrom(...views), fc.integer({ min: 300, max: 2400 }), (view, width) => {
    const { places, width: drawnWidth, height } = layOut(view, width);
    const drawn = [...view.nodes, ...view.groups];
    assertEquals(places.size, drawn.length);
    for (const { id } of drawn) {
      const { x, y, radius } = places.get(id)!;
      assert(x - radius >= 0 && x + radius <= drawnWidth, `${id} at ${x} of ${drawnWidth}`);
      assert(y - radius >= 0 && y + radius <= height, `${id} at ${y} of ${height}`);
    }
    const spots = [...places.values()];
    spots.forEach((one, at) =>
      spots.slice(at + 1).forEach((other) => assert(Math.hypot(one.x - other.x, one.y - other.y) > 15))
    );
  }));
});

Deno.test("map: it is as wide as there is room, from a phone's up", () => {
  for (const view of [smallView(), largeView()]) {
    for (const width of [300, 328, 800, 1200]) assertEquals(layOut(view, width).width, width);
  }
});

Deno.test("map: one more exit moves no supernode but its own, and that a little", () => {
  const view = smallView();
  const more = { ...view.nodes.find(({ label }) => label === "exit-1")!, id: "another", label: "exit-9" };
  const before = layOut(view, 1200).places;
  const after = layOut({ ...view, nodes: [...view.nodes, more] }, 1200).places;
  for (const { id, kind } of view.nodes) {
    if (kind !== "supernode") continue;
    const [one, other] = [before.get(id)!, after.get(id)!];
    assert(Math.hypot(one.x - other.x, one.y - other.y) < 2 * HUB_RADIUS, id);
  }
});

Deno.test("map: nobody at all, and peers of regions nobody told of, are no trouble", () => {
  assertEquals(layOut(smallView({ nodes: [], groups: [], regions: [] }), 800).places.size, 0);
  assertEquals(layOut(smallView({ regions: [] }), 800).regions.length, 3);
});

Deno.test("map: every way is three curves, so that one can bend into another", () => {
  const stops = [{ x: 0, y: 0 }, { x: 90, y: 10 }, { x: 300, y: 200 }, { x: 400, y: 190 }];
  for (const count of [2, 3, 4]) {
    const curves = wayOf(stops.slice(0, count), 5);
    assertEquals(curves.length, 3);
    assertEquals(curves[0]![0], stops[0]);
    assertEquals(curves[2]![3], stops[count - 1]);
    assertEquals(pathText(curves).match(/C/g)?.length, 3);
  }
});

Deno.test("map: arrow keys lead to what lies in their direction, and back", () => {
  const { places } = layOut(smallView(), 1200);
  const [north] = [...places.keys()];
  const right = nextInDirection(places, north!, "ArrowRight")!;
  assert(places.get(right)!.x > places.get(north!)!.x);
  assertEquals(nextInDirection(places, right, "ArrowLeft"), north);
  assertEquals(nextInDirection(places, north!, "a"), undefined);
});

Deno.test("map: by arrow keys one comes to everything", () => {
  for (const view of [smallView(), largeView()]) {
    const { places } = layOut(view, 1200);
    const seen = new Set<string>();
    const left = [[...places.keys()][0]!];
    while (left.length > 0) {
      const id = left.pop()!;
      if (seen.has(id)) continue;
      seen.add(id);
      for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) {
        const next = nextInDirection(places, id, key);
        if (next !== undefined) left.push(next);
      }
    }
    assertEquals(seen.size, places.size);
  }
});

Deno.test("events are read as they were sent, however their bytes come", () => {
  const text = ': hello\n\nevent: view\ndata: {"a":"ü"}\n\nevent: log\r\ndata: one\r\ndata: two\r\n\r\ndata\n\n\n';
  const bytes = new TextEncoder().encode(text);
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: bytes.length })), (cuts) => {
    const reader = new EventReader();
    const ends = [...cuts.sort((a, b) => a - b), bytes.length];
    const events = ends.flatMap((end, at) => reader.push(bytes.slice(ends[at - 1] ?? 0, end)));
    assertEquals(events, [
      { name: "view", data: '{"a":"ü"}' },
      { name: "log", data: "one\ntwo" },
      { name: "message", data: "" },
    ]);
  }));
});

Deno.test("an event that never ends is given up", () => {
  const reader = new EventReader();
  const piece = new TextEncoder().encode("data: ".padEnd(1 << 20, "x"));
  assertThrows(() => Array.from({ length: 12 }, () => reader.push(piece)), Error, "Cannot read events");
});

Deno.test("the log is told again after coming back: nothing twice, nothing lost, no more than is kept", () => {
  const known = [line(1), line(2), line(3)];
  assertEquals(withNewer(known, [line(2), line(3), line(4)]).map(({ id }) => id), [1, 2, 3, 4]);
  assertEquals(withNewer(known, [line(4)]).map(({ id }) => id), [1, 2, 3, 4]);
  assertEquals(withNewer(known, []).length, 3);
  const many = Array.from({ length: 2 * api.LOG_LINES }, (_, at) => line(at));
  assertEquals(withNewer([], many).length, api.LOG_LINES);
});

Deno.test("the log of a server that was started anew stands after what was known", () => {
  assertEquals(withNewer([line(7, 100), line(8, 200)], [line(1, 300)]).map(({ id }) => id), [7, 8, 1]);
});

Deno.test("what does not answer is named, with the time of what is seen", () => {
  const heardAtMs = new Date(2026, 1, 3, 12, 3, 4).getTime();
  const known = { view: smallView({ kind: "supernode" }), heardAtMs };
  assertEquals(
    troubleText({ state: "away", trouble: "", ...known }),
    "The supernode does not answer. Trying again… What you see is from 12:03:04.",
  );
  assertEquals(
    troubleText({ state: "live", trouble: "Base cannot be asked.", ...known }),
    "Base cannot be asked. What you see is from 12:03:04.",
  );
  assertEquals(troubleText({ state: "live", trouble: undefined, ...known }), undefined);
  assertEquals(
    troubleText({ state: "away", trouble: "", view: undefined, heardAtMs: undefined }),
    "The server does not answer. Trying again…",
  );
});

Deno.test("a command is looked at before it is pushed", () => {
  assertEquals(Object.keys(commands).toSorted(), [...COMMAND_KINDS].toSorted());
  assertEquals(orderOf("DISCONNECT", " s1 ", '{"reason":"admin"}'), {
    kind: "DISCONNECT",
    sessionId: "s1",
    payload: { reason: "admin" },
  });
  assertEquals(orderOf("DISCONNECT", "", "{}"), { kind: "DISCONNECT", payload: {} });
  assertThrows(() => orderOf("SETUP_EXIT", " ", "{}"), Error, "SETUP_EXIT needs a session id");
  assertThrows(() => orderOf("DISCONNECT", "", "[]"), Error, "must be a JSON object");
  assertThrows(() => orderOf("DISCONNECT", "", "{"), Error, "not JSON");
});

Deno.test("map: of a name that is too long its end is kept, which tells it from others", () => {
  assertEquals(clipped("downstream-1", 14), "downstream-1");
  assertEquals(clipped("vps-north/downstream", 14), "vps-nor…stream");
  assertEquals([clipped("names", 2), clipped("names", 1), clipped("names", 0)], ["n…", "…", ""]);
  const [upstream] = [{ ...smallView().nodes.at(-1)!, label: "upstream-1" }];
  const places = (count: number) => {
    const nodes = Array.from({ length: count }, (_, at) => ({ ...upstream, id: `${at}`, kind: "upstream" as const }));
    return layOut(smallView({ nodes, groups: [], regions: [upstream.region] }), 800).places;
  };
  assert(places(2).get("0")!.letters! >= 12 && places(40).get("0")!.letters! >= 12);
});

Deno.test("along an axis all figures are in one unit, told from each other", () => {
  assertEquals(axisTexts([0, 0.005, 0.01], RATES), ["0 kbit/s", "5 kbit/s", "10 kbit/s"]);
  assertEquals(axisTexts([0, 0.5, 1, 1.5], RATES), ["0.0 Mbit/s", "0.5 Mbit/s", "1.0 Mbit/s", "1.5 Mbit/s"]);
  assertEquals(axisTexts([0, 500, 1000], RATES), ["0.0 Gbit/s", "0.5 Gbit/s", "1.0 Gbit/s"]);
  assertEquals(axisTexts([0, 0.25, 0.5], [{ name: "ms", size: 1 }]), ["0.00 ms", "0.25 ms", "0.50 ms"]);
  assertEquals(axisTexts([0, 1000], [{ name: "", size: 1 }]), ["0", "1,000"]);
  assertEquals(axisTexts([0, 0.0001], RATES), ["0.0 kbit/s", "0.1 kbit/s"]);
});

Deno.test("pages keep as much as the server tells of", () => {
  assertEquals({ ...bounds }, {
    HISTORY_POINTS: api.HISTORY_POINTS,
    HISTORY_STEP_MS: api.HISTORY_STEP_MS,
    LOG_LINES: api.LOG_LINES,
  });
});

Deno.test("pages: a first visit takes no more than 150 KiB, and every file that is named is there", async () => {
  const files = new PageFiles(dashboardPageTable());
  const wanted = ["index.html"];
  const bytes = new Map<string, number>();
  while (wanted.length > 0) {
    const name = wanted.pop()!;
    if (bytes.has(name)) continue;
    const file = await files.find(name);
    assert(file, `${name} is not in the table`);
    bytes.set(name, file.gzip.length);
    const text = new TextDecoder().decode(file.bytes);
    for (const [, path = ""] of text.matchAll(/(?:src|href)="\/web\/([^"]+)"/g)) wanted.push(path);
    for (const [, path = ""] of text.matchAll(/^import [^;]*?from "(\.[^"]+)";/gms)) {
      wanted.push(new URL(path, `http://x/${name}`).pathname.slice(1));
    }
  }
  const kib = [...bytes.values()].reduce((sum, each) => sum + each, 0) / 1024;
  assert(bytes.size > 40 && kib < FIRST_LOAD_KIB, `${bytes.size} files, ${kib.toFixed(1)} KiB`);
  assert(!bytes.has("lib/uplot.js"), "uPlot is fetched by the page that needs it");
  // Asked for all at once, not as one names the next.
  const index = new TextDecoder().decode((await files.find("index.html"))!.bytes);
  const preloaded = [...index.matchAll(/rel="modulepreload" href="\/web\/([^"]+)"/g)].map(([, name]) => name!);
  const modules = [...bytes.keys()].filter((name) => name.endsWith(".js") && name !== "theme.js");
  assertEquals(preloaded.toSorted(), modules.filter((name) => name !== "dashboard/app.js").toSorted());
});
