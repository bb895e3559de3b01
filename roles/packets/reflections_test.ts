import { assertEquals, assertRejects } from "@std/assert";
import { answerReflection, REFLECTION_REQUEST_TYPE } from "../../protocol/packets/reflection.ts";
import { parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { Reflections } from "./reflections.ts";

const RELAY = parseEndpoint("198.51.100.1:40000")!;
const SEEN = parseEndpoint("203.0.113.1:5000")!;
const signal = new AbortController().signal;

function world() {
  const clock = new FakeClock();
  const sent: Uint8Array[] = [];
  const reflections = new Reflections({ clock, random: new SeededRandom(1), send: (bytes) => void sent.push(bytes) });
  return { clock, sent, reflections };
}

Deno.test("what the relay says is taken, after a loss too", async () => {
  const { clock, sent, reflections } = world();
  const asked = reflections.ask(RELAY, signal);
  await clock.advanceAsync(120);
  assertEquals([sent.length, sent[0]![0]], [2, REFLECTION_REQUEST_TYPE]);
  reflections.receive(answerReflection(sent[0]!, SEEN)!, RELAY);
  assertEquals(await asked, SEEN);
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("what others say, or to other questions, is not", async () => {
  const { clock, sent, reflections } = world();
  const asked = reflections.ask(RELAY, signal);
  await clock.advanceAsync(10);
  const answer = answerReflection(sent[0]!, SEEN)!;
  reflections.receive(answer, parseEndpoint("198.51.100.1:40001")!);
  reflections.receive(answer.with(5, answer[5]! ^ 1), RELAY);
  reflections.receive(new Uint8Array(3), RELAY);
  reflections.receive(sent[0]!, RELAY);
  assertEquals(await clock.runUntil(asked), undefined);
  assertEquals(sent.length, 3);
  reflections.receive(answer, RELAY);
});

Deno.test("aborting ends the wait", async () => {
  const { clock, reflections } = world();
  const stop = new AbortController();
  const asked = reflections.ask(RELAY, stop.signal);
  stop.abort(new Error("over"));
  await assertRejects(() => asked, Error, "over");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("only so many questions are under way", async () => {
  const { clock, sent, reflections } = world();
  const all = Array.from({ length: 300 }, () => reflections.ask(RELAY, signal));
  assertEquals(sent.length, 256);
  await clock.runUntil(Promise.all(all));
});
