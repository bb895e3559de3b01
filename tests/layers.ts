/**
 * The import table of the house (design §2) as data, and the pure function that holds a module graph against it.
 *
 *   graph of files and edges + table → violations, each with the reason of the rule it breaks
 *
 * What no row allows is forbidden. A row may name a whole folder, one file, a package (`npm:zod`), every package
 * (`npm:*`), those of a scope (`npm:@std/*`) or the host's built-in modules (`node:*`). Tests, benches and their
 * fixtures beside the code (`x_test.ts`, `x_bench.ts`, `fixtures/`) are not bound by their folder's floor, but no other
 * code may import them. `layers_test.ts` reads the real graph.
 */

/** How a file names another: `type` imports vanish when compiled, `dynamic` ones load when reached. */
export type EdgeKind = "static" | "dynamic" | "type";

export interface Edge {
  /** A path from the root of the repository. */
  readonly from: string;
  /** The same, or `npm:name`, `jsr:@scope/name`, `node:name`, or a URL. */
  readonly to: string;
  readonly kind: EdgeKind;
}

export interface Graph {
  /** What lies at the root of the repository: folders, with or without sources in them yet, and files. */
  readonly atRoot: readonly string[];
  /** Every source file, as a path from the root of the repository. */
  readonly files: readonly string[];
  readonly edges: readonly Edge[];
}

export interface Row {
  readonly from: string;
  readonly to: string;
  /** The kinds of edges that are allowed; all when left out. */
  readonly only?: readonly EdgeKind[];
  readonly why: string;
}

export interface Ban {
  /** The folder whose sources may not use the names. */
  readonly in: string;
  readonly names: readonly string[];
  /** Files to which the ban does not apply. */
  readonly except?: RegExp;
  readonly why: string;
}

export interface Violation {
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

/** Every folder that holds code. A folder that is gone, or that no row knows, is a violation. */
export const folders = [
  "protocol",
  "native",
  "net",
  "kv",
  "edge",
  "roles",
  "testing",
  "tests",
  "bench",
  "tools",
  "examples",
  "types",
] as const;

/** Folders above the house: they may import all of it, and whatever packages they need. */
const aboveTheHouse: readonly string[] = ["tests", "bench"];
const aboveTheHouseRows = aboveTheHouse.flatMap((from): Row[] =>
  ["protocol", "native", "net", "kv", "edge", "roles", "testing", "mod.ts", "npm:*", "node:*"].map((to) => ({
    from,
    to,
    why: `${from}/ measures and proves the whole house from outside`,
  }))
);

const edgePackages = ["npm:hono", "npm:zod", "npm:prom-client", "npm:jose", "npm:uplot"].map((to): Row => ({
  from: "edge",
  to,
  why: "edge/ is Hono apps that run on any host: web standards and portable packages only",
}));

const standardLibrary = ["native", "net", "kv", "edge", "testing"].map((from): Row => ({
  from,
  to: "npm:@std/*",
  why: "small well-kept functions that need no host: paths, TOML, encodings, assertions",
}));

/** Who may import whom, beside its own folder; `from` is a folder, or one file of it that may more than the others. */
export const importTable: readonly Row[] = [
  { from: "protocol", to: "npm:zod", why: "every boundary is parsed by a schema" },
  { from: "protocol", to: "npm:@noble/ciphers", why: "portable primitives: bytes in, bytes out" },
  { from: "protocol", to: "npm:@noble/curves", why: "portable primitives: bytes in, bytes out" },
  { from: "protocol", to: "npm:@noble/hashes", why: "portable primitives: bytes in, bytes out" },
  { from: "native", to: "protocol", why: "the kernel's formats are parsed by pure code" },
  {
    from: "native",
    to: "node:timers",
    why: "setImmediate lets the event loop run between two looks at a busy socket, in 1 µs; a timer takes 2,000",
  },
  { from: "net", to: "protocol", why: "links and paths carry what protocol/ defines" },
  {
    from: "net",
    to: "native",
    only: ["dynamic", "type"],
    why: "net/ works where FFI is not allowed, so native/ is loaded only by the path that needs it",
  },
  { from: "net", to: "npm:undici", why: "outbound HTTP with our own connector" },
  { from: "net", to: "npm:markdown-it", why: "shared folders are shown by the markdown in them" },
  {
    from: "net",
    to: "node:*",
    why: "some sockets are only in Node's modules, such as TLS that asks for client certificates",
  },
  { from: "kv", to: "protocol", why: "stores keep what protocol/ defines" },
  {
    from: "kv",
    to: "node:timers",
    why: "setImmediate waits for one turn of the event loop, whose writes share a commit",
  },
  ...["npm:postgres", "npm:ioredis"].map((to): Row => ({
    from: "kv",
    to,
    only: ["type"],
    why: "stores speak SQL and Redis through a client that a role has opened: kv/ opens no sockets",
  })),
  { from: "edge", to: "protocol", why: "handlers speak what protocol/ defines" },
  { from: "edge", to: "kv", why: "handlers keep their state in stores" },
  {
    from: "edge/main_relay.ts",
    to: "net",
    why: "who serves an app puts together what it opens no connections with itself: hops, base, node:crypto",
  },
  {
    from: "edge/orchestrator/page_table.ts",
    to: "npm:uplot",
    why: "the pages' charts: its own files are served as they are, to browsers",
  },
  {
    from: "edge/web/lib/chart.js",
    to: "npm:uplot",
    only: ["type"],
    why: "the same: a browser loads it from page_table.ts",
  },
  ...edgePackages,
  ...standardLibrary,
  ...["protocol", "native", "net", "kv", "edge", "npm:*", "node:*"].map((to): Row => ({
    from: "roles",
    to,
    why: "roles/ puts the parts together",
  })),
  { from: "edge", to: "deno.json", why: "the version is written in one place" },
  { from: "roles", to: "deno.json", why: "the version is written in one place" },
  { from: "testing", to: "protocol", why: "the test kit stands in for the interfaces of protocol/" },
  { from: "testing", to: "net/memory.ts", why: "streams without a network are the base of the in-memory network" },
  { from: "testing", to: "npm:fast-check", why: "hostile input is made by fast-check" },
  { from: "testing", to: "node:test", why: "in the npm package contracts register with Node's runner" },
  { from: "testing", to: "node:timers", why: "setImmediate lets every settled promise run before time moves on" },
  ...["protocol", "net"].map((to): Row => ({
    from: "mod.ts",
    to,
    why: "the public library is these two floors; it loads no FFI and does nothing at import",
  })),
  ...aboveTheHouseRows,
  { from: "tests", to: "bench", why: "what generates load for measurements also loads what is under test" },
  { from: "bench", to: "tests", why: "what failing over costs is measured in the network in which it is proved" },
  { from: "tools", to: "protocol", why: "what makes releases fails as everything else does, by CulvertError" },
  { from: "tools", to: "deno.json", why: "what a program needs of Deno is written in one place" },
  { from: "tools", to: "npm:typescript", why: "the npm package is compiled to what Node 20 runs, with declarations" },
  {
    from: "tools",
    to: "node:buffer",
    why: "what Node 20 lacks of the language, base64 among it, is made of what it has",
  },
  { from: "tools", to: "npm:@std/*", why: "paths, flags and encodings" },
  { from: "bench", to: "tools", why: "executables are measured as releases have them" },
  { from: "examples", to: "mod.ts", why: "an example shows what a user of the library would write" },
  { from: "types", to: "npm:*", why: "declares types for packages that carry none" },
];

const socketNames = [
  "Deno.connect",
  "Deno.connectTls",
  "Deno.listen",
  "Deno.listenTls",
  "Deno.listenDatagram",
  "Deno.serve",
  "WebSocket",
  "WebTransport",
  "EventSource",
  "fetch",
];

/** The "never" column: names that the sources of a folder may not use, whatever they import. */
export const banTable: readonly Ban[] = [
  {
    in: "protocol",
    names: [
      "Deno",
      "Date.now",
      "new Date()",
      "performance",
      "setTimeout",
      "setInterval",
      "clearTimeout",
      "clearInterval",
      "Math.random",
      "crypto",
      "WebSocket",
      "WebTransport",
      "EventSource",
      "fetch",
      "Worker",
      "console",
      "process",
      "globalThis",
      "self",
      "require",
    ],
    why: "protocol/ is bytes in, bytes out: time, chance, crypto primitives and sockets are handed in",
  },
  {
    in: "net",
    names: ["Deno.openKv", "Deno.dlopen", "Deno.UnsafePointer"],
    why: "net/ keeps no state beyond the process and opens no library itself",
  },
  { in: "native", names: ["Deno.openKv"], why: "native/ is the kernel, not a store" },
  { in: "kv", names: [...socketNames, "Deno.dlopen"], why: "a store opens no socket and no library" },
  {
    in: "edge",
    names: [
      "Deno.dlopen",
      "Deno.UnsafePointer",
      "Deno.listenDatagram",
      "Deno.QuicEndpoint",
      "Deno.connectQuic",
      "Deno.upgradeWebTransport",
      "WebTransport",
    ],
    why: "edge/ runs on hosts without FFI and without unstable flags other than KV",
  },
  {
    in: "edge",
    names: ["Deno.serve"],
    except: /(^|\/)main_\w+\.ts$/,
    why: "edge/ gives back apps; only a main_x.ts serves one",
  },
];

/** Folders in which nothing may happen when a module is imported. */
export const quietFolders = ["protocol", "native", "net", "kv", "edge", "testing", "mod.ts"] as const;

/** Tests and benches that stand beside the code, and the fixtures they share. */
export function isProof(file: string): boolean {
  return /_(test|bench)\.tsx?$|\/fixtures\//.test(file);
}

/** The folder at the root that a file belongs to, or the file itself when it lies at the root. */
export function folderOf(file: string): string {
  const slash = file.indexOf("/");
  return slash === -1 ? file : file.slice(0, slash);
}

/** Holds the graph against a table; an empty answer means the house stands. */
export function checkImports(
  graph: Graph,
  table: readonly Row[] = importTable,
  known: readonly string[] = folders,
): Violation[] {
  return [...checkRot(graph, table, known), ...graph.edges.flatMap((edge) => checkEdge(edge, table))];
}

function checkEdge(edge: Edge, table: readonly Row[]): Violation[] {
  const { from, to, kind } = edge;
  if (isProof(from)) return [];
  if (isProof(to) && !aboveTheHouse.includes(folderOf(from))) return [{ from, to, why: "only tests import a test" }];
  if (!to.includes(":") && folderOf(from) === folderOf(to)) return [];
  const rows = table.filter((row) => (row.from === folderOf(from) || row.from === from) && covers(row.to, to));
  if (rows.some((row) => !row.only || row.only.includes(kind))) return [];
  const why = rows[0]
    ? `a ${kind} import is not allowed here: ${rows[0].why}`
    : `no row of the table lets ${folderOf(from)} import ${to.includes(":") ? to : folderOf(to)}`;
  return [{ from, to, why }];
}

/** Whether a row's right side covers what is imported. */
function covers(pattern: string, to: string): boolean {
  if (pattern.endsWith("*")) return to.startsWith(pattern.slice(0, -1));
  return pattern === to || (!to.includes(":") && pattern === folderOf(to));
}

/** A table that speaks of folders that are not there, or is silent on one that is, protects nothing. */
function checkRot(graph: Graph, table: readonly Row[], known: readonly string[]): Violation[] {
  const present = new Set([...graph.atRoot, ...graph.files.map(folderOf)]);
  const isThere = (name: string) => name.includes("/") ? graph.files.includes(name) : present.has(name);
  const named = new Set([...known, ...table.flatMap((row) => [row.from, row.to])]);
  const gone = [...named].filter((name) => !name.includes(":") && !isThere(name))
    .map((name): Violation => ({ from: "the table", to: name, why: "the table names it, but it is not there" }));
  const unknown = [...new Set(graph.files.map(folderOf))].filter((name) =>
    !known.includes(name) && !table.some((row) => row.from === name)
  )
    .map((name): Violation => ({
      from: "the table",
      to: name,
      why: "it holds sources, but no row says what it may import",
    }));
  return [...gone, ...unknown];
}
