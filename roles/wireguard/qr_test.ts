import { assert, assertEquals, assertThrows } from "@std/assert";
import decodeQR from "qr/decode.js";
import { pictureOf } from "./fixtures/qr_picture.ts";
import { qrLines, qrModules } from "./qr.ts";

const CONF = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nAddress = 10.0.0.2/32\n";

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
