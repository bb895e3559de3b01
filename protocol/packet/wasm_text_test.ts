import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { assemble, type WasmFunction } from "./wasm_text.ts";

function run(body: string, locals: WasmFunction["locals"] = {}): number {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const module = new WebAssembly.Module(assemble([{ name: "run", parameters: [], locals, body }]));
  return (new WebAssembly.Instance(module, { slab: { memory } }).exports.run as () => number)();
}

Deno.test("constants of either sign arrive as written", () => {
  fc.assert(fc.property(fc.integer(), (value) => assertEquals(run(`i32.const ${value}`), value)));
  for (const edge of [0, 63, 64, 127, 128, -1, -64, -65, -128, 2 ** 31 - 1, -(2 ** 31)]) {
    assertEquals(run(`i32.const ${edge}`), edge);
  }
});

Deno.test("locals go by name, and comments are nothing", () => {
  const body = `
    i32.const 40 ;; the answer
    local.set $other
    local.get $other
    i32.const 2
    i32.add`;
  assertEquals(run(body, { first: "v128", other: "i32" }), 42);
});

Deno.test("a function is found under its name, with its own parameters", () => {
  const functions: WasmFunction[] = [
    { name: "one", parameters: ["a"], locals: {}, body: "local.get $a" },
    { name: "two", parameters: ["a", "b"], locals: {}, body: "local.get $b" },
  ];
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble(functions)), { slab: { memory } });
  assertEquals((exports.one as (a: number) => number)(7), 7);
  assertEquals((exports.two as (a: number, b: number) => number)(7, 8), 8);
});

for (
  const { name, body, says } of [
    { name: "an instruction it does not know", body: "i32.mul", says: "no instruction is called i32.mul" },
    { name: "a local that is not there", body: "local.get $b", says: "no local is called $b" },
    { name: "an operand that is missing", body: "i32.const", says: "i32.const must be followed by a whole number" },
    { name: "an operand that is no number", body: "br x", says: "br must be followed by a whole number, got x" },
  ]
) {
  Deno.test(`does not assemble ${name}`, () => {
    assertThrows(() => run(body), SyntaxError, says);
  });
}
