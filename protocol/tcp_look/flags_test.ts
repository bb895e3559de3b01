import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../errors.ts";
import { formatFlags, parseFlags } from "./flags.ts";

const known = [
  { letters: "F", flags: 1 },
  { letters: "S", flags: 2 },
  { letters: "R", flags: 4 },
  { letters: "PA", flags: 24 },
  { letters: "U", flags: 32 },
  { letters: "E", flags: 64 },
  { letters: "C", flags: 128 },
  { letters: "N", flags: 256 },
];

for (const { letters, flags } of known) {
  Deno.test(`flags are letters and a word: ${letters}`, () => {
    assertEquals(parseFlags(letters.toLowerCase()), flags);
    assertEquals(formatFlags(flags), letters);
  });
}

Deno.test("letters that are no flags, or come twice, are refused", () => {
  for (const letters of ["", "X", "PP", "P A"]) {
    assertThrows(() => parseFlags(letters), CulvertError, "Cannot use flags");
  }
});
