import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../../protocol/errors.ts";
import { Slots, type Tenant } from "./slots.ts";

class Played implements Tenant {
  isClosed = false;
  readonly #closed = Promise.withResolvers<void>();

  close(): void {
    this.isClosed = true;
  }

  go(): void {
    this.#closed.resolve();
  }

  closed(): Promise<void> {
    return this.#closed.promise;
  }
}

const { signal } = new AbortController();

Deno.test("the interfaces take turns, and the one in use is never given away", async () => {
  const slots = new Slots();
  const [one, two, three, four] = [new Played(), new Played(), new Played(), new Played()];
  assertEquals(await slots.take(one, signal), 0);
  slots.use(one);
  assertEquals(await slots.take(two, signal), 1);
  slots.use(two);
  const taking = slots.take(three, signal);
  assertEquals(one.isClosed, true);
  one.go();
  assertEquals(await taking, 0);
  slots.leave(one); // late, and no longer its place
  slots.use(three);
  two.go();
  slots.leave(two);
  assertEquals(await slots.take(four, signal), 1);
  assertEquals([three.isClosed, four.isClosed], [false, false]);
});

Deno.test("whoever waits for an interface gives up when told to", async () => {
  const slots = new Slots();
  await slots.take(new Played(), signal);
  await slots.take(new Played(), signal);
  const stop = new AbortController();
  const taking = slots.take(new Played(), stop.signal);
  stop.abort(new CulvertError("stopped", "enough"));
  await assertRejects(() => taking, CulvertError, "enough");
});
