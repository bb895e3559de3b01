import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { DialError, type DialFailure } from "./errors.ts";
import { interleave, mostTelling, race } from "./happy_eyeballs.ts";
import { formatIp, parseIp } from "./ip.ts";

const V6 = "2606:4700::1";
const V6_B = "2606:4700::2";
const V4 = "1.1.1.1";
const V4_B = "1.0.0.1";

/** A network under the test's thumb: attempts are recorded and end when told. */
class Attempts {
  readonly clock = new FakeClock();
  readonly caller = new AbortController();
  readonly started: string[] = [];
  readonly aborted: string[] = [];
  readonly closed: string[] = [];
  readonly #pending = new Map<string, PromiseWithResolvers<{ name: string; close(): void }>>();

  race(...addresses: string[]): Promise<{ name: string; close(): void }> {
    return race(addresses.map((text) => parseIp(text)!), {
      clock: this.clock,
      attemptDelayMs: 250,
      signal: this.caller.signal,
      connect: (address, signal) => {
        const name = formatIp(address);
        this.started.push(`${name} at ${this.clock.now()}`);
        const attempt = Promise.withResolvers<{ name: string; close(): void }>();
        this.#pending.set(name, attempt);
        signal.addEventListener("abort", () => this.aborted.push(name));
        return attempt.promise;
      },
    });
  }

  async connects(name: string): Promise<void> {
    this.#pending.get(name)!.resolve({ name, close: () => this.closed.push(name) });
    await this.clock.advanceAsync(0);
  }

  async fails(name: string, code: DialFailure): Promise<void> {
    this.#pending.get(name)!.reject(new DialError(code, `${name} ${code}`));
    await this.clock.advanceAsync(0);
  }
}

Deno.test("addresses are tried v6 first, then the families in turn", () => {
  const order = interleave([V4, V4_B, "9.9.9.9", V6, V6_B].map((text) => parseIp(text)!)).map(formatIp);
  assertEquals(order, [V6, V4, V6_B, V4_B, "9.9.9.9"]);
});

Deno.test("a blackholed v6 address costs 250 ms, and its attempt is aborted when v4 wins", async () => {
  const net = new Attempts();
  const winner = net.race(V6, V4);
  await net.clock.advanceAsync(249);
  assertEquals(net.started, [`${V6} at 0`]);
  await net.clock.advanceAsync(1);
  assertEquals(net.started, [`${V6} at 0`, `${V4} at 250`]);
  await net.connects(V4);
  assertEquals((await winner).name, V4);
  assertEquals(net.aborted, [V6]);
  assertEquals(net.clock.pendingTimers, 0);
});

Deno.test("a slow first address may still win", async () => {
  const net = new Attempts();
  const winner = net.race(V6, V4, V6_B);
  await net.clock.advanceAsync(300);
  await net.connects(V6);
  assertEquals((await winner).name, V6);
  assertEquals(net.aborted, [V4]);
  assertEquals(net.started.length, 2);
  assertEquals(net.clock.pendingTimers, 0);
});

Deno.test("a refused address lets the next start at once, with a head start of its own", async () => {
  const net = new Attempts();
  const winner = net.race(V6, V4, V6_B);
  await net.clock.advanceAsync(100);
  await net.fails(V6, "refused");
  assertEquals(net.started, [`${V6} at 0`, `${V4} at 100`]);
  await net.clock.advanceAsync(249);
  assertEquals(net.started.length, 2);
  await net.clock.advanceAsync(1);
  assertEquals(net.started.at(-1), `${V6_B} at 350`);
  await net.connects(V6_B);
  assertEquals((await winner).name, V6_B);
});

Deno.test("when every address fails, the most telling error is given once the last has failed", async () => {
  const net = new Attempts();
  const outcome = assertRejects(() => net.race(V6, V4, V4_B), DialError, `${V4} refused`);
  await net.fails(V6, "network_unreachable");
  await net.fails(V4, "refused");
  await net.fails(V4_B, "timeout");
  await outcome;
  assertEquals(net.clock.pendingTimers, 0);
});

Deno.test("a connection that is made in the moment another wins is closed", async () => {
  const net = new Attempts();
  const winner = net.race(V6, V4);
  await net.clock.advanceAsync(250);
  await Promise.all([net.connects(V6), net.connects(V4)]);
  assertEquals((await winner).name, V6);
  assertEquals(net.closed, [V4]);
});

Deno.test("an abort ends the race with its reason and aborts every attempt", async () => {
  const net = new Attempts();
  const reason = new Error("enough");
  const outcome = assertRejects(() => net.race(V6, V4), Error, "enough");
  await net.clock.advanceAsync(250);
  net.caller.abort(reason);
  await outcome;
  assertEquals(net.aborted, [V6, V4]);
  await net.connects(V4); // too late
  assertEquals(net.closed, [V4]);
  assertEquals(net.clock.pendingTimers, 0);
});

Deno.test("a race that was given up before it began starts nothing", async () => {
  const net = new Attempts();
  net.caller.abort(new Error("enough"));
  await assertRejects(() => net.race(V6, V4), Error, "enough");
  assertEquals(net.started, []);
});

Deno.test("among errors, what is known of the host counts more than what is known of the routes", () => {
  const error = (code: DialFailure) => new DialError(code, code);
  const [refused, unreachable, other] = [error("refused"), error("network_unreachable"), new Error("other")];
  assertStrictEquals(mostTelling([other, unreachable, refused]), refused);
  assertStrictEquals(mostTelling([other, unreachable]), unreachable);
  assertStrictEquals(mostTelling([other]), other);
});
