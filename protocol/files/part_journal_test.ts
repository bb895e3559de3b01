import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { isJournalContent, journalLines, type JournalReading, readJournal } from "./part_journal.ts";
import type { PieceSet } from "./piece_set.ts";

const PIECE = 100;
const piecesOf = (size: number) => Math.ceil(size / PIECE);
const FIRST = journalLines.first({ content: "c0ffee", size: 1000 });

function read(text: string, bootId = "now"): JournalReading | undefined {
  return readJournal(text, { bootId, piecesOf });
}

function numbers(set: PieceSet): number[] {
  return Array.from({ length: set.pieces }, (_, piece) => piece).filter((piece) => set.has(piece));
}

const had = (...pieces: number[]) => pieces.map(journalLines.had).join("");

Deno.test("a journal says what is there, and what only may be", () => {
  const rows: { name: string; text: string; had: number[]; doubtful?: number[] }[] = [
    { name: "nothing yet", text: "boot now\n", had: [] },
    { name: "after a kill all that was written counts", text: `boot now\n${had(0, 3, 9)}`, had: [0, 3, 9] },
    {
      name: "after a power cut only what was synced counts",
      text: `boot before\n${had(0, 3)}synced 1\n${had(9)}`,
      had: [0],
      doubtful: [3, 9],
    },
    {
      name: "what is read again counts again",
      text: `boot before\n${had(0, 3)}boot now\n${had(3)}`,
      had: [3],
      doubtful: [0],
    },
    {
      name: "two power cuts",
      text: `boot one\n${had(0)}boot two\n${had(3)}synced 2\n${had(4)}`,
      had: [3],
      doubtful: [0, 4],
    },
    {
      name: "what somebody else may have changed does not count, synced or not",
      text: `boot now\n${had(0, 3)}synced 2\ndoubt\n${had(3)}`,
      had: [3],
      doubtful: [0],
    },
    {
      name: "a sync that was under way when all became doubtful covers nothing of it",
      text: `boot before\n${had(0, 3)}doubt\nsynced 2\n`,
      had: [],
      doubtful: [0, 3],
    },
    {
      name: "a sync that began before a piece was written again covers nothing of that piece",
      text: `boot one\n${had(0)}boot two\n${had(0)}synced 1\nboot three\n`,
      had: [],
      doubtful: [0],
    },
    { name: "a line without its end does not count", text: `boot now\n${had(0)}had 3`, had: [0] },
    { name: "zeros at the end do not count", text: `boot now\n${had(0)}\0\0\0\0\n${had(3)}`, had: [0] },
    { name: "a piece that there is none of ends it", text: `boot now\n${had(0, 10, 3)}`, had: [0] },
    { name: "more synced than had ends it", text: `boot now\n${had(0)}synced 2\n${had(3)}`, had: [0] },
  ];
  for (const { name, text, had, doubtful = [] } of rows) {
    const reading = read(FIRST + text)!;
    assertEquals([numbers(reading.had), numbers(reading.doubtful)], [had, doubtful], name);
    assertEquals([reading.content, reading.size], ["c0ffee", 1000], name);
    // What makes no sense is cut off, and what is left says the same.
    assertEquals(read((FIRST + text).slice(0, reading.bytes)), reading, name);
  }
});

Deno.test("what is no journal is none", () => {
  for (const text of ["", "culvert-journal 1 10 c", "culvert-journal 2 10 c\n", "culvert-journal 1 x c\n", "{}\n"]) {
    assertEquals(read(text), undefined, text);
  }
  assertEquals(["c0ffee", '"v1"', "", "a b", "ä"].map(isJournalContent), [true, true, false, false, false]);
});

Deno.test("however a journal is cut or spoilt, reading it says less and never something else", () => {
  const line = fc.oneof(
    fc.nat(9).map(journalLines.had),
    fc.nat(4).map(journalLines.synced),
    fc.constant(journalLines.doubt),
    fc.constantFrom("now", "before").map(journalLines.boot),
  );
  fc.assert(fc.property(fc.array(line, { maxLength: 30 }), fc.nat(200), fc.string(), (lines, at, tail) => {
    const text = FIRST + lines.join("");
    const spoilt = text.slice(0, FIRST.length + at) + tail;
    const reading = read(spoilt);
    const everHad = new Set([...spoilt.matchAll(/had (\d+)/g)].map((match) => Number(match[1])));
    if (!reading) return;
    for (const piece of numbers(reading.had)) {
      assertEquals([everHad.has(piece), reading.doubtful.has(piece)], [true, false]);
    }
  }));
});
