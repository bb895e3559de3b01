import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { Bytes } from "../primitives.ts";
import { Slab } from "../slab.ts";
import { bodyBytesAt, CELL_BYTES, CellCommand, CircuitEnd, CircuitStatus, MAX_HOPS, sealedBytesAt } from "./cell.ts";
import { cellsOf, Chain, type OnLink } from "./fixtures/chain.ts";
import { FAULT } from "./hop.ts";

const HOPS = [2, 3, 4, 5, 6, 7, 8, 9, 10, MAX_HOPS];

function bytes(count: number, seed = 1): Bytes {
  return new SeededRandom(seed).fill(new Uint8Array(count));
}

for (const count of HOPS) {
  Deno.test(`a circuit of ${count} hops carries bytes both ways, in cells of one size`, () => {
    using chain = new Chain(new SeededRandom(count), count).build();
    assert(chain.owner.isComplete);
    assertEquals(chain.statuses, Array(count).fill(0));
    const room = bodyBytesAt(count);
    assertEquals(chain.owner.dataBytes, room);
    for (const length of [1, room - 1, room, room + 1, 5 * room]) {
      assertEquals(chain.send(bytes(length)), bytes(length));
      assertEquals(chain.answer(bytes(length, 2)), bytes(length, 2));
    }
    const cells = chain.seen.flatMap(({ cells }) => cells).filter(({ length }) => length > 100);
    assert(cells.every(({ length }) => length === CELL_BYTES));
    assertEquals(chain.brokenAt, undefined);
  });
}

Deno.test("no two links have eight bytes in common, whatever is carried", () => {
  using chain = new Chain(new SeededRandom(7), 5).build();
  chain.send(new Uint8Array(4000));
  chain.answer(new Uint8Array(4000).fill(7));
  chain.send(bytes(100));
  chain.answer(bytes(100));
  const owners = new Map<string, number>();
  for (const { link, cells } of chain.seen) {
    for (const cell of cells) {
      for (let at = 0; at + 8 <= cell.length; at++) {
        const piece = cell.subarray(at, at + 8).join();
        assertEquals(owners.get(piece) ?? link, link, `links ${owners.get(piece)} and ${link} share ${piece}`);
        owners.set(piece, link);
      }
    }
  }
});

Deno.test("a cell with little in it shows nobody what was in the slab before", () => {
  using chain = new Chain(new SeededRandom(3), 2).build();
  const slab = new Slab(CELL_BYTES).bytes.fill(0xee);
  const dirty = new Slab(slab.buffer);
  chain.owner.sealCell(dirty, 0, { command: CellCommand.DATA, body: Uint8Array.of(1) });
  let opened: Bytes | undefined;
  const gateway = chain.hops[1]!;
  const open = gateway.open.bind(gateway);
  gateway.open = (slab, cells) => {
    const kept = open(slab, cells);
    opened = slab.bytes.slice(0, bodyBytesAt(2));
    return kept;
  };
  chain.forward(cellsOf(dirty, 1));
  assertEquals(opened!.findIndex((byte) => byte === 0xee), -1);
});

/** What may become of cells on a link: each gives other cells than it was given. */
const meddlers: Record<string, (cells: Bytes[], at: number, sealedBytes: number) => Bytes[]> = {
  "one changed": (cells, at, sealedBytes) => {
    cells[1]![at % sealedBytes]! ^= 1 + (at % 255);
    return cells;
  },
  "one dropped": (cells) => cells.toSpliced(1, 1),
  "one doubled": (cells) => cells.toSpliced(1, 0, cells[1]!),
  "two swapped": ([first, second, ...rest]) => [second!, first!, ...rest],
  "one from before": (cells) => [...cells, cells[0]!],
  "one of nobody's": (cells, at) => cells.toSpliced(1, 0, bytes(CELL_BYTES, at)),
};

for (const [name, meddler] of Object.entries(meddlers)) {
  Deno.test(`cells of which ${name}, on any link, end the circuit at the next who opens them`, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 5 }),
        fc.nat(),
        fc.boolean(),
        fc.nat({ max: CELL_BYTES }),
        (count, where, isOut, at) => {
          using chain = new Chain(new SeededRandom(where), count).build();
          const link = 1 + where % count;
          chain.meddle = (on: OnLink) => {
            if (on.link !== link) return on.cells;
            // Back, a layer is added at every hop and all are opened by the owner; what is behind them is nobody's.
            return meddler(on.cells, at, sealedBytesAt(link));
          };
          const got = isOut ? chain.send(bytes(6000)) : chain.answer(bytes(6000));
          assertEquals(got, undefined);
          assertEquals(chain.brokenAt, isOut ? link : 0);
          chain.meddle = ({ cells }) => cells;
          assertEquals(isOut ? chain.send(bytes(10)) : chain.answer(bytes(10)), undefined, "and it stays broken");
        },
      ),
      { numRuns: 12 },
    );
  });
}

Deno.test("an answer of somebody else to the handshake adds no hop", () => {
  const random = new SeededRandom(5);
  using chain = new Chain(random, 2);
  using other = new Chain(random, 2).build();
  chain.owner.create(chain.choices[0]!);
  const [, created] = other.seen;
  assertEquals(chain.owner.created({ status: 0, second: created!.cells[0]! }), false);
  assertEquals(chain.owner.hops, 0);
});

Deno.test("a hop that cannot be added is told of, and another can be tried", () => {
  using chain = new Chain(new SeededRandom(6), 3);
  chain.add(chain.choices[0]!);
  const slab = new Slab(CELL_BYTES);
  chain.owner.extend(slab, 0, chain.choices[1]!);
  chain.forward(cellsOf(slab, 1));
  chain.hops[0]!.answerExtend(slab, 0, { status: CircuitStatus.UNREACHABLE });
  chain.backward(1, cellsOf(slab, 1));
  assertEquals(chain.statuses, [0, CircuitStatus.UNREACHABLE]);
  chain.add(chain.choices[1]!);
  chain.add(chain.choices[2]!);
  assertEquals(chain.send(bytes(50)), bytes(50));
});

Deno.test("padding goes to any hop and from any hop, and changes nothing", () => {
  using chain = new Chain(new SeededRandom(8), 4).build();
  const slab = new Slab(CELL_BYTES);
  for (const [at, hop] of chain.hops.entries()) {
    chain.owner.sealCell(slab, 0, { command: CellCommand.PADDING, hop: at + 1 });
    assertEquals(chain.forward(cellsOf(slab, 1)), new Uint8Array(0));
    hop.sealCell(slab, 0, CellCommand.PADDING);
    assertEquals(chain.backward(at + 1, cellsOf(slab, 1)), new Uint8Array(0));
  }
  assertEquals(chain.send(bytes(3000)), bytes(3000));
  assertEquals(chain.answer(bytes(3000)), bytes(3000));
});

Deno.test("a batch in which some cells are the relay's own passes the rest on", () => {
  using chain = new Chain(new SeededRandom(9), 2).build();
  const slab = new Slab(CELL_BYTES);
  const made: Bytes[] = [];
  const data = (text: number) => {
    slab.bytes[0] = text;
    chain.owner.sealData(slab, 1);
    made.push(...cellsOf(slab, 1));
  };
  const padding = () => {
    chain.owner.sealCell(slab, 0, { command: CellCommand.PADDING, hop: 1 });
    made.push(...cellsOf(slab, 1));
  };
  padding(), data(1), padding(), padding(), data(2), data(3), padding();
  assertEquals(chain.forward(made), Uint8Array.of(1, 2, 3));
});

Deno.test("the end that a hop tells of names the hop and says why", () => {
  using chain = new Chain(new SeededRandom(10), 3).build();
  const slab = new Slab(CELL_BYTES);
  chain.hops[1]!.sealCell(slab, 0, CellCommand.END, Uint8Array.of(CircuitEnd.LOST));
  assertEquals(chain.backward(2, cellsOf(slab, 1)), undefined);
  assertEquals(chain.ends, [`2: ${CircuitEnd.LOST}`]);
});

Deno.test("the owner's end reaches the hop it is for, after the bytes before it", () => {
  using chain = new Chain(new SeededRandom(11), 2).build();
  const slab = new Slab(CELL_BYTES);
  slab.bytes[0] = 9;
  chain.owner.sealData(slab, 1);
  const made = cellsOf(slab, 1);
  chain.owner.sealCell(slab, 0, { command: CellCommand.END, body: Uint8Array.of(CircuitEnd.DONE) });
  assertEquals(chain.forward([...made, ...cellsOf(slab, 1)]), Uint8Array.of(9));
  assertEquals(chain.ends, ["the owner: 0"]);
  assertEquals(chain.send(bytes(1)), new Uint8Array(0), "what comes later is dropped");
});

Deno.test("a hop breaks the circuit at what it may not be asked", () => {
  const extend = (hop: number) => ({
    command: CellCommand.EXTEND,
    body: new Uint8Array(66).fill(1),
    hop,
  });
  const rows: { name: string; brokenAt: number; cell: () => Parameters<Chain["owner"]["sealCell"]>[2] }[] = [
    { name: "data at a relay", brokenAt: 1, cell: () => ({ command: CellCommand.DATA, hop: 1 }) },
    { name: "another hop after a relay that has one", brokenAt: 1, cell: () => extend(1) },
    { name: "a hop after the gateway", brokenAt: 2, cell: () => extend(2) },
    { name: "an EXTEND cut short", brokenAt: 1, cell: () => ({ command: CellCommand.EXTEND, hop: 1 }) },
    { name: "an answer", brokenAt: 2, cell: () => ({ command: CellCommand.EXTENDED, body: Uint8Array.of(0) }) },
    { name: "no command", brokenAt: 2, cell: () => ({ command: 77 as CellCommand }) },
  ];
  for (const { name, brokenAt, cell } of rows) {
    using chain = new Chain(new SeededRandom(12), 2).build();
    const slab = new Slab(CELL_BYTES);
    chain.owner.sealCell(slab, 0, cell());
    assertEquals(chain.forward(cellsOf(slab, 1)), undefined, name);
    assertEquals(chain.brokenAt, brokenAt, name);
  }
});

Deno.test("the owner breaks the circuit at what a hop may not say", () => {
  const rows: { name: string; hop: number; command: CellCommand; body?: Uint8Array }[] = [
    { name: "data of a relay", hop: 1, command: CellCommand.DATA },
    { name: "an answer nobody asked for", hop: 2, command: CellCommand.EXTENDED, body: Uint8Array.of(1) },
    { name: "an answer without a status", hop: 2, command: CellCommand.EXTENDED },
    { name: "a wish for a hop", hop: 2, command: CellCommand.EXTEND },
  ];
  for (const { name, hop, command, body } of rows) {
    using chain = new Chain(new SeededRandom(13), 2).build();
    const slab = new Slab(CELL_BYTES);
    chain.hops[hop - 1]!.sealCell(slab, 0, command, body);
    assertEquals(chain.backward(hop, cellsOf(slab, 1)), undefined, name);
    assertEquals(chain.brokenAt, 0, name);
  }
});

Deno.test("cells to be passed on by a relay that has no next hop break the circuit", () => {
  using chain = new Chain(new SeededRandom(14), 2);
  chain.add(chain.choices[0]!);
  using other = new Chain(new SeededRandom(15), 2).build();
  const slab = new Slab(CELL_BYTES);
  other.owner.sealData(slab, 1);
  assertEquals(chain.forward(cellsOf(slab, 1)), undefined);
});

Deno.test("hops are added one at a time, and none after a gateway", () => {
  using chain = new Chain(new SeededRandom(16), 2);
  chain.owner.create(chain.choices[0]!);
  assertThrows(() => chain.owner.create(chain.choices[0]!), TypeError);
  using whole = new Chain(new SeededRandom(17), 2).build();
  assertThrows(() => whole.owner.extend(new Slab(CELL_BYTES), 0, whole.choices[0]!), TypeError);
  using bare = new Chain(new SeededRandom(18), 2);
  assertThrows(() => bare.owner.sealData(new Slab(CELL_BYTES), 1), TypeError);
});

Deno.test("a circuit whose keys are wiped opens nothing", () => {
  using chain = new Chain(new SeededRandom(19), 2).build();
  chain.owner[Symbol.dispose]();
  assertEquals(chain.owner.open(new Slab(CELL_BYTES), 1), FAULT);
  chain.hops[0]![Symbol.dispose]();
  assertEquals(chain.hops[0]!.open(new Slab(CELL_BYTES), 1), FAULT);
});
