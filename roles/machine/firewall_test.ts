import { assertEquals } from "@std/assert";
import { firewallTableOf, LOCK_TABLE } from "./firewall.ts";

Deno.test("each interface has a table of its own, and none has the kill switch's", () => {
  assertEquals(firewallTableOf("wg-0"), "culvert_wgx2d0");
  const tables = ["lock", "lock_", "lock__", "locked"].map(firewallTableOf);
  assertEquals(new Set([...tables, LOCK_TABLE]).size, 5);
});
