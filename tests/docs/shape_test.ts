import { assertEquals } from "@std/assert";
import { differenceInShape } from "./shape.ts";

const shown = ["PEER  RTT", "rna4gmbgllipwqkqtr65zyo6zi  0.6ms  0.1.0", "", "done"];

Deno.test("output is alike whatever its ids, times and widths, and whatever stands between its lines", () => {
  const printed = ["more", "PEER   RTT", "scn2unplrza7sgfjerzjjeox6i  1m2s  0.1.0", "more", "done"];
  assertEquals(differenceInShape(shown, printed), undefined);
});

Deno.test("a line that is missing, changed or in another place is told", () => {
  assertEquals(differenceInShape(shown, ["PEER RTT", "done"]), shown[1]);
  assertEquals(differenceInShape(shown, ["PEER", "scn2unplrza7sgfjerzjjeox6i  1s  0.1.0", "done"]), "PEER  RTT");
  assertEquals(differenceInShape(["a", "b"], ["b", "a"]), "b");
});
