import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import { formatIp, type IpAddress, parseIp } from "../protocol/ip.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { CachingResolver, type ResolverOptions, systemLookup } from "./resolve.ts";

/** A resolver whose look-ups are answered by hand, in order. */
function byHand(options: Partial<ResolverOptions> = {}) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const waiting: PromiseWithResolvers<IpAddress[]>[] = [];
  const resolver = new CachingResolver({
    clock,
    lookup: (name) => {
      asked.push(name);
      const answer = Promise.withResolvers<IpAddress[]>();
      waiting.push(answer);
      return answer.promise;
    },
    ...options,
  });
  const answer = (...texts: string[]) => waiting.shift()!.resolve(texts.map((text) => parseIp(text)!));
  return { resolver, clock, asked, answer, waiting };
}

Deno.test("callers who ask for a name at once share one look-up, later ones its answer", async () => {
  const { resolver, clock, asked, answer } = byHand();
  const both = [resolver.resolve("a.example"), resolver.resolve("a.example")];
  answer("1.1.1.1");
  assertEquals((await Promise.all(both)).map(([address]) => formatIp(address!)), ["1.1.1.1", "1.1.1.1"]);
  await resolver.resolve("a.example");
  assertEquals(asked, ["a.example"]);
  clock.advance(10_000);
  const again = resolver.resolve("a.example");
  answer("1.1.1.2");
  assertEquals(formatIp((await again)[0]!), "1.1.1.2");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a missing name is kept for a shorter time, a failure not at all", async () => {
  const { resolver, clock, asked, answer, waiting } = byHand();
  const missing = resolver.resolve("a.example");
  answer();
  assertEquals(await missing, []);
  assertEquals(await resolver.resolve("a.example"), []);
  clock.advance(2_000);
  const failing = resolver.resolve("a.example");
  waiting.shift()!.reject(new Error("EAI_AGAIN"));
  assertEquals((await assertRejects(() => failing, DialError)).code, "failed");
  const again = resolver.resolve("a.example");
  answer("1.1.1.1");
  assertEquals((await again).length, 1);
  assertEquals(asked.length, 3);
});

Deno.test("a caller waits no longer than its deadline or its signal, and the look-up serves the next", async () => {
  const { resolver, clock, asked, answer } = byHand();
  const late = assertRejects(() => resolver.resolve("slow.example"), DialError);
  const caller = new AbortController();
  const given = assertRejects(() => resolver.resolve("slow.example", caller.signal), Error, "enough");
  caller.abort(new Error("enough"));
  await given;
  await clock.advanceAsync(5_000);
  assertEquals((await late).code, "timeout");
  const next = resolver.resolve("slow.example");
  answer("1.1.1.1");
  assertEquals((await next).length, 1);
  assertEquals(asked.length, 1);
});

Deno.test("look-ups and kept answers are bounded", async () => {
  const { resolver, asked, answer } = byHand({ maxRunning: 2, maxKept: 2 });
  const running = [resolver.resolve("a.example"), resolver.resolve("b.example")];
  assertEquals((await assertRejects(() => resolver.resolve("c.example"), DialError)).code, "busy");
  answer("1.1.1.1");
  answer("1.1.1.2");
  await Promise.all(running);
  const third = resolver.resolve("c.example");
  answer("1.1.1.3");
  await third;
  await resolver.resolve("b.example");
  const forgotten = resolver.resolve("a.example");
  answer("1.1.1.4");
  await forgotten;
  assertEquals(asked, ["a.example", "b.example", "c.example", "a.example"]);
});

Deno.test("a look-up that throws at once leaves nothing behind", async () => {
  let calls = 0;
  const { resolver } = byHand({
    lookup: () => {
      calls++;
      throw new Error("no resolver");
    },
  });
  await assertRejects(() => resolver.resolve("a.example"), DialError);
  await assertRejects(() => resolver.resolve("a.example"), DialError);
  assertEquals(calls, 2);
});

Deno.test("the system knows localhost", async () => {
  const addresses = (await systemLookup("localhost")).map(formatIp);
  assertEquals(addresses.filter((address) => address !== "::1").every((address) => address === "127.0.0.1"), true);
  assertEquals(addresses.length > 0, true);
});
