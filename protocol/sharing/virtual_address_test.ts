import { assertEquals } from "@std/assert";
import { normalVirtualAddress, virtualAddressOf } from "./virtual_address.ts";

Deno.test("a node's virtual address is made of its id", () => {
  assertEquals(virtualAddressOf("a".repeat(26)), "fd63:756c:7665:7274::");
  assertEquals(virtualAddressOf("aeaqcaibaeaqcaibaeaqcaibae"), "fd63:756c:7665:7274:101:101:101:101");
  for (const text of ["", "a", "A".repeat(26), "aaaa aaaa", "a".repeat(52)]) {
    assertEquals(virtualAddressOf(text), undefined, text);
  }
});

Deno.test("virtual addresses are told from others however they are written", () => {
  const rows: [string, string | undefined][] = [
    ["FD63:756C:7665:7274:0101:101:101:101", "fd63:756c:7665:7274:101:101:101:101"],
    ["fd63:756c:7665:7274:0:0:0:0", "fd63:756c:7665:7274::"],
    ["fd63:756c:7665:7275::1", undefined],
    ["10.0.0.1", undefined],
    ["rubbish", undefined],
  ];
  for (const [text, normal] of rows) assertEquals(normalVirtualAddress(text), normal, text);
});
