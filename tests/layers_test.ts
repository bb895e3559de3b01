import { assert, assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import {
  banTable,
  checkImports,
  type Edge,
  folderOf,
  type Graph,
  importTable,
  isProof,
  quietFolders,
  type Row,
} from "./layers.ts";
import { listSources, readGraph } from "./module_graph.ts";
import { findGlobalUses, findImportTimeEffects } from "./source_scan.ts";

const root = dirname(dirname(fromFileUrl(import.meta.url)));
const sources = listSources(root);

Deno.test("the house stands: every import is allowed by a row of the table", async () => {
  const violations = checkImports(await readGraph(root));
  assertEquals(violations.map(({ from, to, why }) => `${from} → ${to}: ${why}`), []);
});

for (const ban of banTable) {
  Deno.test(`${ban.in}/ never uses ${ban.names.slice(0, 3).join(", ")}…: ${ban.why}`, () => {
    const files = sources.filter((file) => folderOf(file) === ban.in && !isProof(file) && !ban.except?.test(file));
    const found = files.flatMap((file) =>
      findGlobalUses(read(file), ban.names).map(({ name, line }) => `${file}:${line} ${name}`)
    );
    assertEquals(found, []);
  });
}

Deno.test("nothing happens when a module is imported", () => {
  const quiet: readonly string[] = quietFolders;
  const files = sources.filter((file) =>
    quiet.includes(folderOf(file)) && !isProof(file) && !/\/main_\w+\.ts$/.test(file)
  );
  const found = files.flatMap((file) =>
    findImportTimeEffects(read(file)).map(({ name, line }) => `${file}:${line} ${name}`)
  );
  assertEquals(found, []);
});

Deno.test("every source file begins with a comment that says what it is", () => {
  const silent = sources.filter((file) => !isProof(file) && !/^(#![^\n]*\n)?\/\*\*[\s\S]{30,}?\*\//.test(read(file)));
  assertEquals(silent, []);
});

Deno.test("every row of the table gives its reason", () => {
  for (const row of [...importTable, ...banTable]) assert(row.why.length > 10, JSON.stringify(row));
});

// The checker itself, on a small house that is broken once per rule.

const smallTable: readonly Row[] = [
  { from: "net", to: "protocol", why: "carries it" },
  { from: "net", to: "native", only: ["dynamic", "type"], why: "works without FFI" },
  { from: "protocol", to: "npm:zod", why: "schemas" },
  { from: "net", to: "npm:@std/*", why: "small functions" },
  { from: "testing", to: "net/memory.ts", why: "one file, not the floor" },
  { from: "roles", to: "npm:*", why: "anything" },
];
const smallFolders = ["protocol", "native", "net", "testing", "roles"];
const smallFiles = ["protocol/a.ts", "native/b.ts", "net/c.ts", "net/memory.ts", "testing/d.ts", "roles/e.ts"];
const smallHouse: Graph = { atRoot: smallFolders, files: smallFiles, edges: [] };

function check(edge: Edge): number {
  return checkImports({ ...smallHouse, edges: [edge] }, smallTable, smallFolders).length;
}

const edgeRows: readonly { name: string; edge: Edge; allowed: boolean }[] = [
  { name: "down a floor", edge: { from: "net/c.ts", to: "protocol/a.ts", kind: "static" }, allowed: true },
  { name: "within a floor", edge: { from: "net/c.ts", to: "net/memory.ts", kind: "static" }, allowed: true },
  { name: "up a floor", edge: { from: "protocol/a.ts", to: "net/c.ts", kind: "static" }, allowed: false },
  { name: "up a floor for a type", edge: { from: "protocol/a.ts", to: "net/c.ts", kind: "type" }, allowed: false },
  { name: "up a floor dynamically", edge: { from: "protocol/a.ts", to: "net/c.ts", kind: "dynamic" }, allowed: false },
  { name: "native from net, static", edge: { from: "net/c.ts", to: "native/b.ts", kind: "static" }, allowed: false },
  { name: "native from net, dynamic", edge: { from: "net/c.ts", to: "native/b.ts", kind: "dynamic" }, allowed: true },
  { name: "native from net, a type", edge: { from: "net/c.ts", to: "native/b.ts", kind: "type" }, allowed: true },
  { name: "a listed package", edge: { from: "protocol/a.ts", to: "npm:zod", kind: "static" }, allowed: true },
  { name: "an unlisted package", edge: { from: "protocol/a.ts", to: "npm:hono", kind: "static" }, allowed: false },
  {
    name: "a package whose name begins alike",
    edge: { from: "protocol/a.ts", to: "npm:zod2", kind: "static" },
    allowed: false,
  },
  { name: "a built-in module", edge: { from: "protocol/a.ts", to: "node:fs", kind: "static" }, allowed: false },
  { name: "any package", edge: { from: "roles/e.ts", to: "npm:left-pad", kind: "static" }, allowed: true },
  {
    name: "a package, but a built-in module",
    edge: { from: "roles/e.ts", to: "node:fs", kind: "static" },
    allowed: false,
  },
  {
    name: "a page on the web",
    edge: { from: "roles/e.ts", to: "https://example.com/a.ts", kind: "static" },
    allowed: false,
  },
  {
    name: "the one file of a floor",
    edge: { from: "testing/d.ts", to: "net/memory.ts", kind: "static" },
    allowed: true,
  },
  {
    name: "another file of that floor",
    edge: { from: "testing/d.ts", to: "net/c.ts", kind: "static" },
    allowed: false,
  },
  {
    name: "a test that reaches up",
    edge: { from: "protocol/a_test.ts", to: "testing/d.ts", kind: "static" },
    allowed: true,
  },
  {
    name: "a bench that reaches up",
    edge: { from: "protocol/a_bench.ts", to: "roles/e.ts", kind: "static" },
    allowed: true,
  },
  {
    name: "a test's fixtures that reach up",
    edge: { from: "net/fixtures/d.ts", to: "testing/d.ts", kind: "static" },
    allowed: true,
  },
  {
    name: "a test that imports its fixtures",
    edge: { from: "net/c_test.ts", to: "net/fixtures/d.ts", kind: "static" },
    allowed: true,
  },
  {
    name: "code that imports fixtures",
    edge: { from: "net/c.ts", to: "net/fixtures/d.ts", kind: "static" },
    allowed: false,
  },
  {
    name: "a package of a listed scope",
    edge: { from: "net/c.ts", to: "npm:@std/path", kind: "static" },
    allowed: true,
  },
  { name: "code that imports a test", edge: { from: "net/c.ts", to: "net/c_test.ts", kind: "static" }, allowed: false },
];

for (const { name, edge, allowed } of edgeRows) {
  Deno.test(`the checker ${allowed ? "allows" : "reports"} ${name}`, () => {
    assertEquals(check(edge), allowed ? 0 : 1);
  });
}

const rotRows: readonly { name: string; graph: Graph; to: string }[] = [
  {
    name: "a folder that is gone",
    graph: { ...without("native/b.ts"), atRoot: smallFolders.filter((folder) => folder !== "native") },
    to: "native",
  },
  { name: "a named file that is gone", graph: without("net/memory.ts"), to: "net/memory.ts" },
  { name: "a folder without a rule", graph: { ...smallHouse, files: [...smallFiles, "extra/x.ts"] }, to: "extra" },
  { name: "a file at the root without a rule", graph: { ...smallHouse, files: [...smallFiles, "x.ts"] }, to: "x.ts" },
];

for (const { name, graph, to } of rotRows) {
  Deno.test(`the checker reports ${name}`, () => {
    assertEquals(checkImports(graph, smallTable, smallFolders).map((violation) => violation.to), [to]);
  });
}

Deno.test("the checker accepts a folder that waits for its first source", () => {
  assertEquals(checkImports(without("native/b.ts"), smallTable, smallFolders), []);
});

Deno.test("the checker has no complaint about the small house when nothing is broken", () => {
  assertEquals(checkImports(smallHouse, smallTable, smallFolders), []);
});

Deno.test("the real table reports one broken edge of every forbidden kind", async () => {
  const graph = await readGraph(root);
  const broken: readonly [string, string, Edge["kind"]][] = [
    ["protocol/x.ts", "net/x.ts", "static"],
    ["protocol/x.ts", "npm:@std/path", "static"],
    ["native/x.ts", "net/x.ts", "static"],
    ["net/x.ts", "native/x.ts", "static"],
    ["net/x.ts", "npm:hono", "static"],
    ["net/x.ts", "kv/x.ts", "dynamic"],
    ["kv/x.ts", "net/x.ts", "static"],
    ["kv/x.ts", "native/x.ts", "type"],
    ["edge/x.ts", "native/x.ts", "dynamic"],
    ["edge/x.ts", "net/x.ts", "static"],
    ["edge/x.ts", "node:net", "static"],
    ["roles/x.ts", "testing/x.ts", "static"],
    ["roles/x.ts", "mod.ts", "static"],
    ["testing/x.ts", "net/proxy.ts", "static"],
    ["mod.ts", "native/x.ts", "dynamic"],
    ["mod.ts", "roles/x.ts", "static"],
  ];
  const edges = broken.map(([from, to, kind]) => ({ from, to, kind }));
  const reported = checkImports({ ...graph, edges }).filter((violation) => violation.from !== "the table");
  assertEquals(reported.map(({ from, to }) => `${from} ${to}`), edges.map(({ from, to }) => `${from} ${to}`));
});

function without(file: string): Graph {
  return { ...smallHouse, files: smallFiles.filter((other) => other !== file) };
}

function read(file: string): string {
  return Deno.readTextFileSync(join(root, file));
}
