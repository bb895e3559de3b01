import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { executablesOf } from "./executables.ts";

const least = { mayDoAll: false };

Deno.test("without a role there is one executable that can do everything", () => {
  assertEquals(executablesOf([], least), [{ name: "culvert", words: [], permissions: "all" }]);
});

Deno.test("each role has one of its own, once, with no more than it needs", () => {
  const permissions = ["net", "read", "write", "env", "sys"] as const;
  assertEquals(executablesOf(["exit", "exit"], least), [{ name: "culvert-exit", words: ["exit"], permissions }]);
  const [exit] = executablesOf(["exit"], { mayDoAll: true });
  assertEquals(exit?.permissions, "all");
});

Deno.test("a role that there is none of, or that cannot stand alone, is refused", () => {
  const cases = {
    "exits": "Cannot make an executable: the role must be one of culvert's, got exits; did you mean exit?",
    "constructor":
      "Cannot make an executable: the role must be one of culvert's, got constructor; did you mean orchestrator?",
    "manager":
      "Cannot make an executable of manager alone: the manager starts other roles: make the executable with all of " +
      "them, by naming none",
  };
  for (const [role, message] of Object.entries(cases)) {
    assertThrows(() => executablesOf([role], least), CulvertError, message);
  }
});
