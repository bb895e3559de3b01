import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventStreamReader, formatStreamEvent, KEEP_ALIVE, type StreamEvent } from "./event_stream.ts";

/** What is read of a text that comes in pieces of such lengths, over and over. */
function readInPieces(text: string, lengths: readonly number[]): StreamEvent[] | undefined {
  const reader = new EventStreamReader();
  const events: StreamEvent[] = [];
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const length = lengths[turn % lengths.length]!;
    const read = reader.push(text.slice(at, at + length));
    if (!read) return undefined;
    events.push(...read);
    at += length;
  }
  return events;
}

const table: readonly (readonly [what: string, text: string, events: readonly StreamEvent[]])[] = [
  ["an event", "event: joined\ndata: {}\n\n", [{ event: "joined", data: "{}" }]],
  ["one without a name", "data: a\n\n", [{ event: "message", data: "a" }]],
  ["several lines", "data: a\ndata: b\n\n", [{ event: "message", data: "a\nb" }]],
  ["other ends of lines", "event: x\r\ndata: a\r\rdata: b\n\n", [{ event: "x", data: "a" }, {
    event: "message",
    data: "b",
  }]],
  ["one space is taken away, and no more", "data:  a\n\ndata:b\n\n", [{ event: "message", data: " a" }, {
    event: "message",
    data: "b",
  }]],
  ["comments and what is not known", ": hello\nid: 7\nretry: 5\nfoo\ndata: a\n\n", [{ event: "message", data: "a" }]],
  ["a name without data is nothing, and is forgotten", "event: x\n\ndata: a\n\n", [{ event: "message", data: "a" }]],
  ["data without a colon", "data\n\n", [{ event: "message", data: "" }]],
  ["a byte order mark", "\uFEFFdata: a\n\n", [{ event: "message", data: "a" }]],
  ["what has not ended", "data: a\n", []],
  ["what keeps the connection in use", KEEP_ALIVE, []],
];
for (const [what, text, events] of table) {
  Deno.test(`an event stream: ${what}`, () => {
    for (const lengths of [[text.length], [1], [2, 3]]) assertEquals(readInPieces(text, lengths), [...events]);
  });
}

Deno.test("events are read as they were written, in whatever pieces they come", () => {
  const line = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n]/.test(text));
  const event = fc.record({
    event: fc.stringMatching(/^[a-z-]{1,20}$/),
    data: fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => lines.join("\n")),
  });
  const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });
  fc.assert(fc.property(fc.array(event), lengths, (events, lengths) => {
    assertEquals(readInPieces(events.map(formatStreamEvent).join(KEEP_ALIVE), lengths), events);
  }));
});

Deno.test("any text is read, and what is too long is refused without being kept", () => {
  fc.assert(fc.property(fc.string(), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (text, lengths) => {
    assert(Array.isArray(readInPieces(text, lengths)));
  }));
  for (const text of ["data: ", "event", ": "]) {
    const reader = new EventStreamReader(100);
    assertEquals(reader.push(text), []);
    assertEquals(reader.push("x".repeat(200)), undefined);
    assertEquals(reader.push("\n\n"), undefined);
  }
  const many = new EventStreamReader(100);
  let read: StreamEvent[] | undefined = [];
  for (let turn = 0; turn < 50 && read; turn++) read = many.push("data: 0123456789\n");
  assertEquals(read, undefined);
});
