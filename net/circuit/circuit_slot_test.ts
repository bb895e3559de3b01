import { assertEquals } from "@std/assert";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import type { TunnelPath } from "../tunnel_path.ts";
import { CircuitSlot } from "./circuit_slot.ts";

/** As much of a circuit as a slot sees. */
class FakeCircuit {
  readonly #ready = Promise.withResolvers<void>();
  isClosed = false;
  idle = true;
  linkCount = 1;
  streamCount = 0;

  come(): void {
    this.#ready.resolve();
  }

  fail(): void {
    this.#ready.reject(new Error("as asked"));
  }

  ready(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#ready.reject(signal.reason), { once: true });
    return this.#ready.promise;
  }

  close(): void {
    this.isClosed = true;
  }

  closed(): Promise<void> {
    return Promise.resolve();
  }
}

function rig() {
  const clock = new FakeClock();
  const circuits: FakeCircuit[] = [];
  const slot = new CircuitSlot({
    open() {
      const circuit = new FakeCircuit();
      circuits.push(circuit);
      return circuit as unknown as TunnelPath;
    },
    ...{ rotateMs: [60_000, 60_000], maxDraining: 2, clock, random: new SeededRandom(1), log: silentLog },
  });
  return { clock, circuits, slot };
}

Deno.test("a circuit that comes up in the very turn in which all is closed is closed too", async () => {
  const { clock, circuits, slot } = rig();
  await clock.advanceAsync(60_000);
  circuits[1]!.come();
  slot.close();
  await slot.closed();
  assertEquals(circuits.map(({ isClosed }) => isClosed), [true, true]);
  assertEquals(slot.drainingCount, 0);
});

Deno.test("one that does not come up is given up, and the one before stays", async () => {
  const { clock, circuits, slot } = rig();
  await clock.advanceAsync(60_000);
  circuits[1]!.fail();
  await clock.advanceAsync(0);
  assertEquals(circuits.map(({ isClosed }) => isClosed), [false, true]);
  await clock.advanceAsync(60_000);
  await clock.advanceAsync(20_000); // nothing of the next is heard for so long
  assertEquals(circuits.map(({ isClosed }) => isClosed), [false, true, true]);
  slot.close();
  await slot.closed();
});

Deno.test("a circuit is replaced before its time once, however many ask, and not again within seconds", async () => {
  const { clock, circuits, slot } = rig();
  const first = slot.current;
  const renewed = Promise.all([slot.renew(first), slot.renew(first)]);
  circuits[1]!.come();
  await renewed;
  assertEquals([circuits.length, slot.current === first, slot.drainingCount], [2, false, 1]);
  await slot.renew(first);
  await slot.renew(slot.current);
  assertEquals(circuits.length, 2);
  await clock.advanceAsync(59_000);
  assertEquals(circuits.length, 2);
  await clock.advanceAsync(1_000);
  assertEquals(circuits.length, 3); // its time begins anew
  slot.close();
  await slot.closed();
  assertEquals(circuits.every(({ isClosed }) => isClosed), true);
});
