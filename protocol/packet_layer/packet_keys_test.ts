import { assertEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { gfkKey, kcptunKey, paqetKey, xorPad } from "./packet_keys.ts";

Deno.test("Keys are derived from a passphrase as each program does", async () => {
  const key = await kcptunKey("testkey");
  assertEquals(encodeHex(key), "9edba19032fc09503ebdfefeb1cb266424b539e9bdc67c1aa922bff833ac5274");
  assertEquals(
    encodeHex(await paqetKey("testkey")),
    "8d2780c117896e77e72750e6bacd55f99273ebc8990ba13eb4158ce02b0b9d79",
  );
  // sha256sum of "gfk-carrier-v1:testkey".
  assertEquals(encodeHex(await gfkKey("testkey")), "01674a4c7a25c02527174497c3271639eb0f972060b03da8bc60471db0f86918");
  const pad = await xorPad(key);
  assertEquals([pad.length, encodeHex(pad.subarray(0, 4)), encodeHex(pad.subarray(-4))], [
    1500,
    "a6245891",
    "ef102a34",
  ]);
});
