import { assert, assertEquals } from "@std/assert";
import { BufferPool } from "./buffer_pool.ts";

Deno.test("a small buffer that was given back is lent again, to whoever asks for its size", () => {
  const pool = new BufferPool();
  const one = pool.takeSmall(1500);
  assertEquals(one.length, 1500);
  pool.giveSmall(one);
  assert(pool.takeSmall(2048) !== one);
  assert(pool.takeSmall(1500) === one);
  assert(pool.takeSmall(1500) !== one);
  assertEquals(pool.lent, 0);
});

Deno.test("no more than 64 small buffers of a size are kept", () => {
  const pool = new BufferPool();
  const many = Array.from({ length: 100 }, () => pool.takeSmall(512));
  for (const buffer of many) pool.giveSmall(buffer);
  const again = new Set(Array.from({ length: 100 }, () => pool.takeSmall(512)));
  assertEquals(many.filter((buffer) => again.has(buffer)).length, 64);
});
