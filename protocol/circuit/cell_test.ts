import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Slab } from "../slab.ts";
import {
  bodyBytesAt,
  CELL_BYTES,
  CELL_HEADER_BYTES,
  encodeCreate,
  encodeCreated,
  encodeExtend,
  encodeExtended,
  MAX_HOPS,
  parseCreate,
  parseCreated,
  parseExtend,
  parseExtended,
  sealedBytesAt,
  spreadIntoCells,
} from "./cell.ts";

const bytesOf = (count: number) => fc.uint8Array({ minLength: count, maxLength: count }).map((b) => new Uint8Array(b));

Deno.test("what is sealed for a hop is what the hop before it passes on", () => {
  assertEquals(sealedBytesAt(1), CELL_BYTES);
  for (let position = 1; position < MAX_HOPS; position++) {
    assertEquals(sealedBytesAt(position) - 17, sealedBytesAt(position + 1));
    assertEquals(bodyBytesAt(position), sealedBytesAt(position) - 20);
  }
});

Deno.test("EXTEND and EXTENDED come back as they went, and anything else is refused without an error", () => {
  fc.assert(fc.property(bytesOf(16), bytesOf(49), fc.constantFrom("relay", "gateway"), (hopId, first, kind) => {
    assertEquals(parseExtend(encodeExtend({ hopId, first, kind })), { hopId, first, kind });
  }));
  fc.assert(fc.property(bytesOf(48), (second) => {
    assertEquals(parseExtended(encodeExtended({ status: 0, second })), { status: 0, second });
  }));
  assertEquals(parseExtended(encodeExtended({ status: 3 })), { status: 3 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
    const extend = parseExtend(bytes);
    if (extend) assertEquals(encodeExtend(extend), new Uint8Array(bytes));
    const extended = parseExtended(bytes);
    if (extended?.status === 0) assertEquals(encodeExtended(extended), new Uint8Array(bytes));
  }));
});

Deno.test("CREATE and CREATED come back as they went, piece by piece", () => {
  fc.assert(fc.property(bytesOf(49), bytesOf(48), fc.nat({ max: 60 }), (first, second, cut) => {
    for (
      const [message, parse, value] of [
        [encodeCreate(first), parseCreate, first],
        [encodeCreated({ status: 0, second }), parseCreated, { status: 0, second }],
        [encodeCreated({ status: 4 }), parseCreated, { status: 4 }],
      ] as const
    ) {
      assertEquals<unknown>(parse(message), { status: "done", value, length: message.length });
      if (cut < message.length) assertEquals(parse(message.subarray(0, cut)).status, "more");
    }
  }));
});

Deno.test("a greeting of arbitrary bytes is read as far as it goes and never beyond", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, begins) => {
    if (begins) bytes.set([1, 0, 0, 49].slice(0, bytes.length));
    for (const parse of [parseCreate, parseCreated]) {
      const read = parse(bytes);
      if (read.status === "done") assert(read.length <= bytes.length);
    }
  }));
});

Deno.test("bytes spread into cells lie in order, with zeros behind the last", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8000 }), fc.integer({ min: 1, max: MAX_HOPS }), (count, position) => {
      const slab = new Slab(5 * CELL_BYTES);
      slab.bytes.fill(0xee);
      for (let at = 0; at < count; at++) slab.bytes[at] = at % 251;
      const cells = spreadIntoCells(slab, count, position);
      let seen = 0;
      for (let cell = 0; cell < cells; cell++) {
        const at = cell * CELL_BYTES;
        const length = slab.view.getUint16(at + 1);
        const from = at + CELL_HEADER_BYTES;
        for (let byte = 0; byte < length; byte++) assertEquals(slab.bytes[from + byte], seen++ % 251);
        for (let byte = length; byte < bodyBytesAt(position); byte++) assertEquals(slab.bytes[from + byte], 0);
      }
      assertEquals(seen, count);
    }),
    { numRuns: 30 },
  );
});

Deno.test("more bytes than the slab has room for are not spread", () => {
  assertThrows(() => spreadIntoCells(new Slab(CELL_BYTES), bodyBytesAt(1) + 1, 1), RangeError);
});
