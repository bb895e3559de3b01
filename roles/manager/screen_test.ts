import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Picture } from "./fixtures/picture.ts";
import { Screen } from "./screen.ts";

const SIZE = { columns: 20, rows: 4 };

Deno.test("a frame is one write, of the lines that have changed", () => {
  const picture = new Picture(SIZE);
  using screen = new Screen(picture);
  screen.draw(["one", "two"]);
  screen.draw(["one", "2"]);
  screen.draw(["one", "2"]);
  assertEquals(picture.writes.slice(1), [
    "\x1b[?2026h\x1b[1;1Hone\x1b[K\x1b[2;1Htwo\x1b[K\x1b[3;1H\x1b[K\x1b[4;1H\x1b[K\x1b[?2026l",
    "\x1b[?2026h\x1b[2;1H2\x1b[K\x1b[?2026l",
  ]);
  assertEquals(picture.lines, ["one", "2", "", ""]);
});

Deno.test("whatever frames and sizes follow each other, the last frame is what is seen", () => {
  const line = fc.string({ unit: fc.constantFrom(..."abc ─"), maxLength: 9 });
  const size = fc.record({ columns: fc.integer({ min: 10, max: 30 }), rows: fc.integer({ min: 1, max: 6 }) });
  const step = fc.oneof(fc.array(line, { maxLength: 8 }), size);
  fc.assert(fc.property(fc.array(step, { maxLength: 20 }), fc.array(line, { maxLength: 8 }), (steps, last) => {
    const picture = new Picture(SIZE);
    using screen = new Screen(picture);
    for (const one of steps) {
      if (Array.isArray(one)) screen.draw(one);
      else {
        picture.resize(one);
        screen.forget();
      }
    }
    screen.draw(last);
    const { rows } = picture.size();
    assertEquals(picture.lines, Array.from({ length: rows }, (_, row) => (last[row] ?? "").trimEnd()));
    assert(picture.writes.every((text) => !text.includes("\x1b[2J")));
  }));
});

Deno.test("the terminal is taken, given back, taken again, and given back at the end", () => {
  const picture = new Picture(SIZE);
  const modes = [...picture.modes];
  {
    using screen = new Screen(picture);
    assertEquals([picture.isRaw, [...picture.modes]], [true, ["1049"]]);
    screen.suspend();
    assertEquals([picture.isRaw, [...picture.modes].sort()], [false, modes.sort()]);
    const writes = picture.writes.length;
    screen.draw(["nobody sees it"]);
    assertEquals(picture.writes.length, writes);
    screen.resume();
    screen.draw(["seen"]);
    assertEquals([picture.isRaw, picture.lines[0]], [true, "seen"]);
  }
  assertEquals([picture.isRaw, [...picture.modes].sort()], [false, modes.sort()]);
});
