import { assert, assertEquals } from "@std/assert";
import { EVENT_STREAM_TYPE, EventStreamReader, type StreamEvent } from "../../protocol/event_stream.ts";
import { peerThereSchema } from "../../protocol/tracker/messages.ts";
import { entryOf } from "../../protocol/tracker/fixtures/entries.ts";
import { within } from "../../testing/waiting.ts";
import { answerOf } from "../fixtures/directory.ts";
import { startTracker, TestPeer, type TestTracker, TRACKER_URL } from "../fixtures/tracker.ts";

const [one, two] = [new TestPeer(1), new TestPeer(2)];

/** Reads a stream of events. */
class Listener {
  readonly response: Response;
  readonly #reader;
  readonly #events = new EventStreamReader();
  readonly #ready: StreamEvent[] = [];

  private constructor(response: Response) {
    this.response = response;
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(tracker: TestTracker, query = ""): Promise<Listener> {
    return new Listener(await tracker.fetch(new Request(`${TRACKER_URL}/api/peers/events${query}`)));
  }

  /** The next event; undefined when there is none any more. */
  async next(): Promise<StreamEvent | undefined> {
    while (this.#ready.length === 0) {
      const { done, value } = await within("an event", this.#reader.read());
      if (done) return undefined;
      this.#ready.push(...this.#events.push(value)!);
    }
    return this.#ready.shift();
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

Deno.test("who listens hears of peers that join, change and leave, and of no heartbeats", async () => {
  await using tracker = await startTracker();
  await two.register(tracker);
  const listener = await Listener.open(tracker);
  assertEquals(listener.response.headers.get("content-type"), EVENT_STREAM_TYPE);
  assertEquals(listener.response.headers.get("x-content-type-options"), "nosniff");
  await one.register(tracker);
  await one.heartbeat(tracker);
  await one.register(tracker);
  const card = one.card({ label: "Another name" });
  await one.register(tracker, { card });
  await two.send(tracker, "unregister");
  await tracker.clock.advanceAsync(200_000);
  const joined = (await listener.next())!;
  assertEquals(joined.event, "joined");
  assertEquals(peerThereSchema.parse(JSON.parse(joined.data)).peer.card, one.card());
  const changed = (await listener.next())!;
  assertEquals([changed.event, JSON.parse(changed.data).peer.card], ["changed", JSON.parse(JSON.stringify(card))]);
  assertEquals(await listener.next(), { event: "left", data: JSON.stringify({ peerId: two.id }) });
  assertEquals(await listener.next(), { event: "left", data: JSON.stringify({ peerId: one.id }) });
  await listener.close();
});

Deno.test("who has asked for some hears of no others", async () => {
  await using tracker = await startTracker();
  const listener = await Listener.open(tracker, "?capability=relay&region=us");
  await one.register(tracker, { card: one.card({ capabilities: ["relay"] }) });
  await two.register(tracker, { card: two.card({ capabilities: ["files", "relay"], region: "us" }) });
  await one.send(tracker, "unregister");
  await two.send(tracker, "unregister");
  assertEquals((await listener.next())!.event, "joined");
  assertEquals(await listener.next(), { event: "left", data: JSON.stringify({ peerId: two.id }) });
  await listener.close();
  const { body } = await answerOf(await tracker.fetch(new Request(`${TRACKER_URL}/api/peers/events?region=EU`)));
  assertEquals(body.code, "bad_request");
});

Deno.test("who reads too slowly is cut off, and others are not", async () => {
  await using tracker = await startTracker();
  const [slow, quick] = [await Listener.open(tracker), await Listener.open(tracker)];
  let heard = 0;
  for (let turn = 0; turn < 400; turn++) {
    await tracker.store.register(entryOf(1, { label: `Name ${turn}` }), {});
    if (await quick.next()) heard++;
  }
  assertEquals(heard, 400);
  let late = 0;
  while (await slow.next()) late++;
  assert(late > 200 && late < 400, `${late}`);
  await quick.close();
});

Deno.test("there are so many listeners at most, a comment keeps them, and none is left when they are gone", async () => {
  await using tracker = await startTracker({ maxListeners: 2 });
  const first = await Listener.open(tracker);
  const second = await Listener.open(tracker);
  const refused = await tracker.fetch(new Request(`${TRACKER_URL}/api/peers/events`));
  assertEquals([refused.status, (await answerOf(refused)).body.code], [503, "busy"]);
  await first.close();
  const third = await Listener.open(tracker);
  assertEquals(tracker.clock.pendingTimers, 1);
  await tracker.clock.advanceAsync(15_000);
  assertEquals(tracker.clock.pendingTimers, 1, "the next comment");
  tracker.app[Symbol.dispose]();
  assertEquals(
    [await second.next(), await third.next()],
    [undefined, undefined],
    "the end of the tracker ends streams",
  );
  assertEquals(tracker.clock.pendingTimers, 0);
});
