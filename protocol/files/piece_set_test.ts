import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { PieceSet } from "./piece_set.ts";

const deeds = fc.array(fc.record({ add: fc.boolean(), piece: fc.nat(140) }), { maxLength: 200 });

Deno.test("a piece set is the set it stands for, whatever is put in and taken out", () => {
  fc.assert(fc.property(fc.nat(130), deeds, fc.nat(130), (pieces, deeds, from) => {
    const set = new PieceSet(pieces);
    const model = new Set<number>();
    for (const { add, piece } of deeds) {
      const isChange = piece < pieces && model.has(piece) !== add;
      assertEquals(add ? set.add(piece) : set.delete(piece), isChange);
      if (!isChange) continue;
      if (add) model.add(piece);
      else model.delete(piece);
    }
    const all = Array.from({ length: pieces }, (_, piece) => piece);
    assertEquals([set.size, set.isFull], [model.size, model.size === pieces]);
    assertEquals(all.filter((piece) => set.has(piece)), all.filter((piece) => model.has(piece)));
    assertEquals(set.firstMissing(from), all.find((piece) => piece >= from && !model.has(piece)) ?? pieces);
    const below = Math.min(pieces, from + 40);
    assertEquals(set.firstHad(from, below), all.find((p) => p >= from && p < below && model.has(p)) ?? below);
  }));
});
