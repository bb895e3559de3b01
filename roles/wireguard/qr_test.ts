import { assert, assertEquals, assertThrows } from "@std/assert";
import decodeQR from "qr/decode.js";
import { qrLines, qrModules } from "./qr.ts";

const CONF = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nAddress = 10.0.0.2/32\n";

/** The printed lines as a picture, four pixels to a module. */
function pictureOf(lines: readonly string[]): { width: number; height: number; data: Uint8Array } {
  // deno-lint-ignore no-control-regex -- the colours are control characters
  const rows = lines.map((line) => [...line.replace(/\x1b\[[\d;]*m/g, "")]);
  const [columns, scale] = [rows[0]!.length, 4];
  const [width, height] = [columns * scale, rows.length * 2 * scale];
  const data = new Uint8Array(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const module = Math.floor(y / scale);
      const character = rows[module >> 1]![Math.floor(x / scale)]!;
      const isLight = character === "█" || character === (module & 1 ? "▄" : "▀");
      if (!isLight) data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3);
    }
  }
  return { width, height, data };
}

Deno.test("a reader gets the configuration back from the printed lines", () => {
  assertEquals(decodeQR(pictureOf(qrLines(qrModules(CONF)))), CONF);
});

Deno.test("every line has the width of the code", () => {
  const modules = qrModules(CONF);
  for (const line of qrLines(modules)) assert(line.length === modules.length + "\x1b[97;40m\x1b[0m".length);
});

Deno.test("a configuration that no code can hold is refused with the limit", () => {
  assertThrows(() => qrModules("x".repeat(2954)), Error, "at most 2953 bytes, got 2954");
  qrModules("x".repeat(2953));
});
