import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, assertDecoderSurvives } from "../testing/fuzz.ts";
import { encodeGetFamily, readFamily } from "./genetlink.ts";
import {
  attributeBytes,
  Attributes,
  NetlinkWriter,
  NLM_F_REQUEST,
  readNetlinkMessages,
  readVerdict,
} from "./netlink.ts";
import type { Bytes } from "./primitives.ts";

const bytes = (hex: string): Bytes => Uint8Array.fromHex(hex.replaceAll(" ", ""));

Deno.test("attributes come out as they went in", () => {
  const attribute = fc.oneof(
    fc.record({ kind: fc.constant("u8" as const), value: fc.nat(0xff) }),
    fc.record({ kind: fc.constant("u16" as const), value: fc.nat(0xffff) }),
    fc.record({ kind: fc.constant("u32" as const), value: fc.nat(0xffffffff) }),
    fc.record({ kind: fc.constant("text" as const), value: fc.stringMatching(/^[a-zß-ż€]*$/) }),
    fc.record({ kind: fc.constant("bytes" as const), value: anyBytes(600) }),
  );
  fc.assert(fc.property(fc.array(attribute, { maxLength: 20 }), (attributes) => {
    const writer = new NetlinkWriter(7, NLM_F_REQUEST).raw(1, 2, 3, 4);
    const nest = writer.begin(1);
    attributes.forEach((one, type) => (writer[one.kind] as (type: number, value: unknown) => void)(type, one.value));
    const [message] = readNetlinkMessages(writer.end(nest).finish());
    assertEquals(message?.type, 7);
    assertEquals(message?.payload.subarray(0, 4), bytes("01020304"));
    const read = new Attributes(message!.payload, 4).nested(1);
    attributes.forEach((one, type) => assertEquals<unknown>(read[one.kind](type), one.value));
  }));
});

Deno.test("an attribute takes up a multiple of four bytes", () => {
  for (let length = 0; length < 10; length++) {
    const before = new NetlinkWriter(0, 0).length;
    const after = new NetlinkWriter(0, 0).bytes(1, new Uint8Array(length)).length;
    assertEquals(after - before, attributeBytes(length));
    assertEquals(after % 4, 0);
  }
});

Deno.test("a number of another size is as good as absent", () => {
  const { payload } = readNetlinkMessages(new NetlinkWriter(0, 0).u16(1, 5).finish())[0]!;
  const attributes = new Attributes(payload);
  assertEquals([attributes.u8(1), attributes.u16(1), attributes.u32(1), attributes.u64(1)], [
    undefined,
    5,
    undefined,
    undefined,
  ]);
});

Deno.test("a verdict is read with the kernel's words", () => {
  const rows = [
    ["an acknowledgement", "24000000 0200 0001 05000000 94000000 00000000 24000000 1000 0500 05000000 00000000", {
      errno: 0,
    }],
    ["the end of a list", "14000000 0300 0200 05000000 94000000 00000000", { errno: 0 }],
    ["the end of a list that failed", "14000000 0300 0200 05000000 94000000 edffffff", { errno: 19 }],
    [
      "a refusal in words",
      "30000000 0200 0003 05000000 94000000 eaffffff 24000000 1000 0500 05000000 00000000 0900 0100 4e6f7065 00000000",
      { errno: 22, text: "Nope" },
    ],
    ["a refusal that is cut short", "12000000 0200 0000 05000000 94000000 eaff0000", undefined],
    ["another message", "14000000 1000 0200 05000000 94000000 00000000", undefined],
  ] as const;
  for (const [name, hex, want] of rows) assertEquals(readVerdict(readNetlinkMessages(bytes(hex))[0]!), want, name);
});

Deno.test("any bytes are read without harm", () => {
  const valid = fc.constant(
    bytes(
      "30000000 0200 0003 05000000 94000000 eaffffff 24000000 1000 0500 05000000 00000000 0900 0100 4e6f7065 00000000",
    ),
  );
  assertDecoderSurvives((input) => {
    for (const message of readNetlinkMessages(input.slice())) {
      readVerdict(message);
      readFamily(message);
      const attributes = new Attributes(message.payload);
      for (let type = 0; type < 4; type++) [attributes.text(type), attributes.u64(type), ...attributes.list(type)];
    }
  }, { valid });
});

// Captured from wg 1.0.20210914 and Linux 6.1 by strace, sequence and port set to 0.
Deno.test("the WireGuard family is asked for as wg does, and its number found in the kernel's answer", () => {
  const request = "2400000010000500000000000000000003010000 0e000200 7769726567756172 64000000";
  assertEquals(encodeGetFamily("wireguard"), bytes(request));
  const answer = "7000000010000000ade7006b94000000 01020000 0e0002007769726567756172 64000000 0600010020000000" +
    "0800030001000000 0800040000000000 0800050008000000 2c000600 14000100 0800010000000000 080002001c000000" +
    "14000200 0800010001000000 080002001a000000";
  assertEquals(readNetlinkMessages(bytes(answer)).map(readFamily), [0x20]);
});
