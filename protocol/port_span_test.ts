import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "./errors.ts";
import { formatPorts, parsePorts, portsOf, portSpan } from "./port_span.ts";

const texts = [
  { name: "one port", text: "443", span: { first: 443, count: 1 } },
  { name: "a span", text: "45000-45007", span: { first: 45_000, count: 8 } },
  { name: "the last port", text: "65535", span: { first: 65_535, count: 1 } },
  { name: "no port", text: "0", span: undefined },
  { name: "beyond the last", text: "65536", span: undefined },
  { name: "backwards", text: "9-8", span: undefined },
  { name: "too many", text: "1-60000", span: undefined },
  { name: "not a number", text: "80;81", span: undefined },
  { name: "nothing", text: "", span: undefined },
];

for (const { name, text, span } of texts) {
  Deno.test(`ports are read from text: ${name}`, () => {
    assertEquals(parsePorts(text), span);
    if (span) assertEquals(formatPorts(span), text);
  });
}

Deno.test("a span lists its ports", () => {
  assertEquals(portsOf(portSpan({ first: 8, count: 3 })), [8, 9, 10]);
  assertEquals(portsOf(portSpan(8)), [8]);
});

Deno.test("what is no span of ports is refused, and 0 is one where the system may choose", () => {
  for (
    const ports of [0, -1, 65_536, 1.5, { first: 65_535, count: 2 }, { first: 1, count: 0 }, { first: 0, count: 2 }]
  ) {
    assertThrows(() => portSpan(ports), CulvertError, "Cannot use ports");
  }
  assertEquals(portSpan(0, { mayBeChosen: true }), { first: 0, count: 1 });
  assertThrows(() => portSpan({ first: 0, count: 2 }, { mayBeChosen: true }), CulvertError);
});
