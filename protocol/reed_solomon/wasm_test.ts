import { assertEquals } from "@std/assert";
import { assemble, I32, i32, local, repeatWhile, setLocal, V128, v128 } from "./wasm.ts";

type Run = (...parameters: number[]) => void;

function load(bytes: Uint8Array<ArrayBuffer>): { readonly run: Run; readonly memory: Uint8Array } {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  return { run: exports["run"] as Run, memory: new Uint8Array((exports["memory"] as WebAssembly.Memory).buffer) };
}

Deno.test("numbers of any size are written so that they are read as they were", () => {
  for (const value of [0, 1, 63, 64, 127, 128, 8191, 8192, 65535, 1 << 20, 2 ** 31 - 1, -1, -64, -65, -(2 ** 31)]) {
    // The lowest byte of value + parameter, sixteen times.
    const sum = v128.splat(i32.add(i32.constant(value), local(0)));
    const { run, memory } = load(
      assemble({ name: "run", parameters: [I32], locals: [], body: [v128.store(i32.constant(200), 300, sum)] }, 1),
    );
    run(5);
    assertEquals(memory.subarray(500, 516), new Uint8Array(16).fill(value + 5), String(value));
    assertEquals(memory[516], 0);
  }
});

Deno.test("a loop runs until its condition is 0", () => {
  const [at, end, vector] = [0, 1, 2];
  const body = [
    setLocal(vector, v128.splat(i32.constant(7))),
    repeatWhile(i32.isBelow(local(at), local(end)), [
      v128.store(local(at), 0, v128.xor(local(vector), v128.load(local(at)))),
      setLocal(at, i32.add(local(at), i32.constant(16))),
    ]),
  ];
  const { run, memory } = load(assemble({ name: "run", parameters: [I32, I32], locals: [V128], body }, 200));
  assertEquals(memory.length, 200 * 65536);
  memory[33] = 1;
  run(16, 48);
  assertEquals(memory.findIndex((byte) => byte !== 0), 16);
  assertEquals(memory.subarray(16, 48), new Uint8Array(32).fill(7).with(17, 6));
  assertEquals(memory[48], 0);
});
