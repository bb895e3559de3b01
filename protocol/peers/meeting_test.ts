import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { anyBytes, mutationsOf } from "../../testing/fuzz.ts";
import { encodeBase32 } from "../encoding.ts";
import { done } from "../parse.ts";
import { encodeMeetingHeader, type MeetingHeader, parseMeetingHeader } from "./meeting.ts";

const anyHeader: fc.Arbitrary<MeetingHeader> = fc.record({
  kind: fc.constantFrom("to" as const, "from" as const),
  peerId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(encodeBase32),
});

Deno.test("a header is read as it was written, and no byte of what follows it", () => {
  fc.assert(fc.property(anyHeader, anyBytes(64), (header, rest) => {
    const bytes = encodeMeetingHeader(header)!;
    assertEquals(parseMeetingHeader(Uint8Array.of(...bytes, ...rest)), done(header, bytes.length));
  }));
});

Deno.test("there is no header for what is no peer id", () => {
  for (const peerId of ["", "a", "a".repeat(27), "A".repeat(26), "b".repeat(26), "../../../../../../../../.."]) {
    assertEquals(encodeMeetingHeader({ kind: "to", peerId }), undefined, peerId);
  }
});

Deno.test("no bytes make reading a header throw", () => {
  const valid = anyHeader.map((header) => encodeMeetingHeader(header)!);
  fc.assert(fc.property(fc.oneof(anyBytes(64), mutationsOf(valid)), (bytes) => {
    const parsed = parseMeetingHeader(bytes);
    assert(parsed.status !== "done" || parsed.length <= bytes.length);
  }));
});
