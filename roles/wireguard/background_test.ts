import { assertEquals } from "@std/assert";
import { inForeground } from "./background.ts";

const cases = [
  {
    name: "from a checkout",
    words: ["run", "-A", "roles/main.ts", "client", "up", "--detach"],
    args: ["client", "up", "--detach"],
    expected: ["run", "-A", "roles/main.ts", "client", "up", "--detach", "--no-detach"],
  },
  {
    name: "before what is for somebody else",
    words: ["run", "-A", "roles/main.ts", "client", "--detach", "--", "x"],
    args: ["client", "--detach", "--", "x"],
    expected: ["run", "-A", "roles/main.ts", "client", "--detach", "--no-detach", "--", "x"],
  },
  {
    name: "compiled, with the role baked in",
    words: ["up", "--detach", "--", "x"],
    args: ["client", "up", "--detach", "--", "x"],
    expected: ["up", "--detach", "--no-detach", "--", "x"],
  },
];

for (const { name, words, args, expected } of cases) {
  Deno.test(`the same command without --detach: ${name}`, () => assertEquals(inForeground(words, args), expected));
}
