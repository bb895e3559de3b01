import { assertEquals } from "@std/assert";
import { findGlobalUses, findImportTimeEffects, tokenize } from "./source_scan.ts";

const names = ["Deno", "Date.now", "new Date()", "setTimeout", "performance", "Math.random", "crypto"];

const rows: readonly { name: string; source: string; uses: readonly string[] }[] = [
  { name: "a call", source: "const id = setTimeout(tick, 5);", uses: ["setTimeout"] },
  { name: "a call as a statement", source: "{ setTimeout(tick, 5); }", uses: ["setTimeout"] },
  { name: "a call in a conditional", source: "x = a ? setTimeout(f, 1) : b;", uses: ["setTimeout"] },
  { name: "a call in an object's value", source: "f({ id: setTimeout(f, 1) });", uses: ["setTimeout"] },
  { name: "the name handed on", source: "g(setTimeout, Math.random)", uses: ["setTimeout", "Math.random"] },
  { name: "a shorthand property", source: "g({ performance })", uses: ["performance"] },
  { name: "a spread", source: "g(...crypto)", uses: ["crypto"] },
  { name: "another member of Deno", source: "await Deno.open(path)", uses: ["Deno"] },
  { name: "the time, two ways", source: "Date.now() - +new Date()", uses: ["Date.now", "new Date()"] },
  { name: "a date from a number", source: "new Date(ms); Date.UTC(2026, 0, 1)", uses: [] },
  { name: "a member of something handed in", source: "host.setTimeout(f, 1); host?.performance.now()", uses: [] },
  { name: "a private member", source: "this.#setTimeout(f)", uses: [] },
  {
    name: "a method in an interface",
    source: "interface H { setTimeout(f: () => void, ms: number): number; }",
    uses: [],
  },
  { name: "a method in a class", source: "class H { a = 1; async setTimeout(f: F) { f(); } }", uses: [] },
  { name: "a property in an interface", source: "interface H { readonly performance: P; crypto?: C }", uses: [] },
  { name: "a property in an object", source: "const host = { performance: p, setTimeout: s };", uses: [] },
  { name: "a parameter's name", source: "function f(performance: P, crypto: C) {}", uses: [] },
  { name: "a line comment", source: "a(); // Date.now is not for us", uses: [] },
  { name: "a block comment", source: "/** Deno.open, setTimeout */ a();", uses: [] },
  { name: "strings", source: `a("Deno.open", 'it\\'s Deno', "\\" Deno ");`, uses: [] },
  { name: "template text", source: "a(`Deno.open \\` ${b} Deno`)", uses: [] },
  {
    name: "code inside a template",
    source: "a(`x ${ `y ${ Deno.pid }` } Deno`); setTimeout(f)",
    uses: ["Deno", "setTimeout"],
  },
  { name: "braces inside a template's code", source: "a(`${ f({ b: {} }) } Deno`);", uses: [] },
  { name: "a regular expression", source: "const r = /[/\"]Deno\\/'/g; crypto.x", uses: ["crypto"] },
  { name: "division", source: "a / crypto / b; (a) / Deno", uses: ["Deno", "crypto"] },
  { name: "a longer name", source: "DenoLike.open(); mysetTimeout(); setTimeout2()", uses: [] },
];

for (const { name, source, uses } of rows) {
  Deno.test(`global names: ${name}`, () => {
    assertEquals(findGlobalUses(source, names).map((use) => use.name), uses);
  });
}

Deno.test("uses carry the line they stand on", () => {
  assertEquals(findGlobalUses("/*\n\n*/ `a\nb`;\nDeno.exit();", ["Deno"]), [{ name: "Deno", line: 5 }]);
});

Deno.test("an unfinished template or string ends the scan without an error", () => {
  for (const source of ["a = `b ${c", "a = `b", 'a = "b', "/* never closed", "a = /b"]) tokenize(source);
});

const effectRows: readonly { name: string; source: string; effects: readonly string[] }[] = [
  { name: "a library opened at the top", source: "const libc = Deno.dlopen(path, {});", effects: ["Deno.dlopen()"] },
  { name: "a wait at the top", source: "const a = await f();", effects: ["await"] },
  { name: "inside a function", source: "function open() { return Deno.dlopen(path, {}); }", effects: [] },
  { name: "inside an arrow", source: "const open = () => Deno.dlopen(path, {});", effects: [] },
  { name: "after an arrow", source: "const a = () => 1;\nconst b = Deno.openSync(p);", effects: ["Deno.openSync()"] },
  { name: "under import.meta.main", source: "if (import.meta.main) { await serve(Deno.args); }", effects: [] },
  { name: "a type", source: "export type Library = ReturnType<typeof Deno.dlopen>;", effects: [] },
];

for (const { name, source, effects } of effectRows) {
  Deno.test(`import-time effects: ${name}`, () => {
    assertEquals(findImportTimeEffects(source).map((use) => use.name), effects);
  });
}
