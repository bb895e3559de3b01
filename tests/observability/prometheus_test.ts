/**
 * The files of `deploy/prometheus` and `deploy/grafana`: promtool takes them, each alert is proved by a test of its own, and
 * they ask for no metric and no label that no role has.
 */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parse } from "@std/yaml";
import { spanNames } from "../../protocol/tracing.ts";
import { testWith } from "../../testing/requirements.ts";
import { type Metric, metricCatalogue, metricsOf } from "./metric_catalogue.ts";
import { PAGE, tablesOf, unaligned, withTables } from "./metric_table.ts";
import { askedBy } from "./promql.ts";

const FOLDER = "deploy/prometheus";
const DASHBOARD = "deploy/grafana/culvert.json";

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface RuleTest {
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } };
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly type: string; readonly definition?: string }[] };
}

async function rules(): Promise<Rule[]> {
  const file = parse(await Deno.readTextFile(`${FOLDER}/culvert.rules.yaml`)) as { groups: { rules: Rule[] }[] };
  return file.groups.flatMap((group) => group.rules);
}

async function dashboard(): Promise<Dashboard> {
  return JSON.parse(await Deno.readTextFile(DASHBOARD));
}

/** Its queries, with Grafana's own words put in. */
async function queries(): Promise<string[]> {
  const { panels, annotations } = await dashboard();
  return [...panels.flatMap(({ targets = [] }) => targets), ...annotations.list].map(({ expr }) =>
    expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "5m")
  );
}

async function promtool(...args: string[]): Promise<{ readonly ok: boolean; readonly said: string }> {
  const { success, stdout, stderr } = await new Deno.Command("promtool", { args }).output();
  return { ok: success, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** What Prometheus adds of its own to what it scrapes and to its rules. */
const OF_PROMETHEUS = ["up", "ALERTS"];
const TARGET_LABELS = ["job", "instance", "part", "le", "alertname", "alertstate"];

/** What an expression asks for that nothing tells. */
function unknownIn(expression: string, catalogue: readonly Metric[], recorded: readonly string[]): string[] {
  const { metrics, labels } = askedBy(expression);
  const found = metrics.map((name) => ({ name, metric: catalogue.find((metric) => isOf(metric, name)) }));
  const known = [...TARGET_LABELS, ...found.flatMap(({ metric }) => metric?.labels ?? [])];
  return [
    ...found.filter(({ name, metric }) => !metric && ![...OF_PROMETHEUS, ...recorded].includes(name)).map((one) =>
      one.name
    ),
    ...labels.filter((label) => !known.includes(label)),
  ];
}

/** A histogram is asked for by its parts, and only by them. */
function isOf({ kind, name }: Metric, asked: string): boolean {
  return kind === "histogram" ? ["_bucket", "_sum", "_count"].some((part) => asked === name + part) : asked === name;
}

testWith({ tools: ["promtool"] }, "promtool takes the scrape configuration, and finds the rules right", async () => {
  for (
    const args of [["check", "config", `${FOLDER}/prometheus.yaml`], [
      "test",
      "rules",
      `${FOLDER}/culvert.rules.test.yaml`,
    ]]
  ) {
    const { ok, said } = await promtool(...args);
    assert(ok, said);
  }
});

Deno.test("every alert is tested when it must fire, and unless it comes at once, before", async () => {
  const { tests } = parse(await Deno.readTextFile(`${FOLDER}/culvert.rules.test.yaml`)) as { tests: RuleTest[] };
  const tried = tests.flatMap((test) => test.alert_rule_test);
  const alerts = (await rules()).filter(({ alert }) => alert !== undefined);
  assert(alerts.length > 20);
  for (const { alert, labels, annotations, ...rule } of alerts) {
    const own = tried.filter(({ alertname }) => alertname === alert);
    assert(own.some(({ exp_alerts }) => exp_alerts.length === 1), `${alert} is not seen to fire for one of several`);
    if ("for" in rule) assert(own.some(({ exp_alerts }) => exp_alerts.length === 0), `${alert} is not seen to wait`);
    assert(["page", "ticket"].includes(labels?.severity ?? ""), `${alert} has no severity`);
    assertEquals(Object.keys(annotations ?? {}).sort(), ["action", "summary"], alert);
  }
});

Deno.test("rules and dashboard ask only for metrics and labels that there are", async () => {
  const [all, catalogue] = [await rules(), await metricCatalogue()];
  const recorded = all.flatMap(({ record }) => record ?? []);
  for (const expr of [...all.map((rule) => rule.expr), ...await queries()]) {
    assertEquals(unknownIn(expr, catalogue, recorded), [], expr);
  }
  for (const { definition } of (await dashboard()).templating.list) {
    if (definition) assertEquals(unknownIn(definition.replace(/^label_values\((.*), \w+\)$/, "$1"), catalogue, []), []);
  }
});

Deno.test("a metric, a part of a histogram or a label that there is not is found", async () => {
  const catalogue = await metricCatalogue();
  const wrong: Readonly<Record<string, readonly string[]>> = {
    "rate(relay_bytes_totally[5m]) > 1": ["relay_bytes_totally"],
    "sum by (directing) (rate(relay_bytes_total[5m]))": ["directing"],
    'store_up{instance="a", colour="b"} == 0': ["colour"],
    "command_latency_seconds > 1": ["command_latency_seconds"],
    "store_up_bucket": ["store_up_bucket"],
    "culvert:nothing:rate5m": ["culvert:nothing:rate5m"],
    "store_up == 0 or store_up offset 1h": [],
  };
  for (const [expression, unknown] of Object.entries(wrong)) {
    assertEquals(unknownIn(expression, catalogue, []), unknown, expression);
  }
});

testWith(
  { tools: ["promtool"] },
  "promtool takes every query of the dashboard, and would not take any text",
  async () => {
    const file = await Deno.makeTempFile({ suffix: ".yaml" });
    try {
      const check = async (expressions: readonly string[]) => {
        const made = expressions.map((expr, index) => ({ record: `query:${index}`, expr }));
        await Deno.writeTextFile(file, JSON.stringify({ groups: [{ name: "queries", rules: made }] }));
        return await promtool("check", "rules", file);
      };
      const { ok, said } = await check(await queries());
      assert(ok, said);
      assertEquals((await check(["sum by (instance (store_up)"])).ok, false);
    } finally {
      await Deno.remove(file);
    }
  },
);

Deno.test("the dashboard's panels say what they show, and none lies on another", async () => {
  const { panels } = await dashboard();
  assertEquals(new Set(panels.map(({ id }) => id)).size, panels.length);
  const cells = new Set<string>();
  for (const { title, type, description, targets, gridPos: { x, y, w, h } } of panels) {
    assert(x + w <= 24, title);
    if (type !== "row") assert(description && targets?.length, title);
    for (let across = x; across < x + w; across++) {
      for (let down = y; down < y + h; down++) {
        assert(!cells.has(`${across} ${down}`), `${title} lies on another`);
        cells.add(`${across} ${down}`);
      }
    }
  }
});

/** What a query counts: rates have other units than levels, and those of bytes others than those of events. */
function unitsOf(expr: string): readonly string[] {
  const rate = /\b(?:rate|irate|deriv)\((\w+)/.exec(expr)?.[1];
  if (/histogram_quantile|:p\d+_/.test(expr)) return ["s", "ms"];
  if (rate === undefined) return /_bytes\b/.test(expr) ? ["bytes"] : ["none", "percent", "percentunit"];
  if (/_bytes/.test(rate)) return ["Bps"];
  // A rate that is multiplied or divided is no longer one of seconds.
  if (/cpu_seconds/.test(rate)) return ["percentunit"];
  return /[*/] ?1e\d|\d+ \* /.test(expr) ? ["none"] : ["ops"];
}

Deno.test("all that a panel draws has the panel's unit, and rates of bytes and of events are none", async () => {
  assertEquals(unitsOf("sum(rate(peer_file_sent_bytes_total[5m]))"), ["Bps"]);
  assertEquals(unitsOf("sum by (code) (rate(store_failures_total[5m]))"), ["ops"]);
  for (const { title, targets = [], fieldConfig } of (await dashboard()).panels) {
    for (const { expr } of targets) {
      const units = unitsOf(expr);
      assert(units.includes(fieldConfig!.defaults.unit), `${title}: ${expr} is ${units.join(" or ")}`);
    }
  }
});

Deno.test("a metric is read out of a source as it is written there", () => {
  const source = `
    const labels = ["side"] as const;
    metrics.counter("a_total", "What, (and) " + "why", [...labels, "kind"]);
    metrics.histogram(
      "b_seconds",
      "How long",
      [0.1, 1],
      labels,
    );
    rule(counter(), drop());`;
  assertEquals(metricsOf("x.ts", source), [
    { name: "a_total", kind: "counter", labels: ["side", "kind"], help: "What, (and) why", file: "x.ts" },
    { name: "b_seconds", kind: "histogram", labels: ["side"], help: "How long", file: "x.ts" },
  ]);
  assertThrows(() => metricsOf("x.ts", 'gauge(`${prefix}_up`, "x")'), Error, "PREFIXES must say");
});

Deno.test("docs/observability.md lists every metric, as it is, and every span", async () => {
  const page = await Deno.readTextFile(PAGE);
  const anew = withTables(page, tablesOf(await metricCatalogue()));
  assertEquals(unaligned(page), unaligned(anew), "run tests/observability/metric_table.ts");
  for (const name of Object.keys(spanNames)) assertStringIncludes(page, `| \`${name}\` `);
});
