import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Fifo } from "./fifo.ts";

Deno.test("a fifo gives what a plain array gives", () => {
  fc.assert(fc.property(fc.array(fc.boolean(), { maxLength: 400, size: "max" }), (pushes) => {
    const fifo = new Fifo<number>();
    const model: number[] = [];
    pushes.forEach((push, index) => {
      if (push) {
        fifo.push(index);
        model.push(index);
      } else {
        assertEquals(fifo.first, model[0]);
        assertEquals(fifo.shift(), model.shift());
      }
      assertEquals(fifo.length, model.length);
    });
  }));
});

Deno.test("a long queue drains in order", () => {
  const fifo = new Fifo<number>();
  for (let item = 0; item < 1000; item++) fifo.push(item);
  for (let item = 0; item < 1000; item++) assertEquals(fifo.shift(), item);
  assertEquals(fifo.shift(), undefined);
  assertEquals(fifo.length, 0);
});
