import { assert, assertEquals, assertThrows } from "@std/assert";
import { openLibc } from "./libc.ts";
import { EventFd, POLLIN, POLLNVAL, POLLOUT, PollSet } from "./poll.ts";

const WAIT_MS = 5_000;

Deno.test("a wake-up ends a wait, also one that came before, until it is drained", () => {
  using libc = openLibc();
  using event = new EventFd(libc);
  const poll = new PollSet(libc);
  const at = poll.add(event.fd);
  assertEquals(poll.wait(0), 0);
  assert(!event.drain());
  event.wake();
  event.wake();
  assertEquals(poll.wait(Infinity), 1);
  assert(poll.has(at, POLLIN));
  assertEquals(poll.wait(WAIT_MS), 1);
  assert(event.drain());
  assertEquals(poll.wait(0), 0);
  assert(!poll.has(at, POLLIN));
});

Deno.test("another thread ends a wait that knows only the number", () => {
  using libc = openLibc();
  using event = new EventFd(libc);
  const poll = new PollSet(libc);
  poll.add(event.fd);
  const worker = new Worker(new URL("./fixtures/waker.ts", import.meta.url), { type: "module" });
  worker.postMessage(event.fd);
  assertEquals(poll.wait(WAIT_MS), 1);
  worker.terminate();
});

Deno.test("each descriptor tells its own events, a closed one that it is none, and a negative one nothing", () => {
  using libc = openLibc();
  using woken = new EventFd(libc);
  using quiet = new EventFd(libc);
  const closed = new EventFd(libc);
  const poll = new PollSet(libc);
  const [wokenAt, quietAt, closedAt] = [woken, quiet, closed].map((event) => poll.add(event.fd)) as [
    number,
    number,
    number,
  ];
  const writableAt = poll.add(quiet.fd, POLLOUT);
  const noneAt = poll.add(-1);
  closed[Symbol.dispose]();
  woken.wake();
  assertEquals(poll.wait(WAIT_MS), 3);
  assertEquals([wokenAt, quietAt, closedAt, writableAt, noneAt].map((at) => poll.events(at)), [
    POLLIN,
    0,
    POLLNVAL,
    POLLOUT,
    0,
  ]);
  poll.set(closedAt, -1);
  poll.set(writableAt, quiet.fd, POLLIN);
  assertEquals(poll.wait(WAIT_MS), 1);
});

Deno.test("a part of a millisecond is waited whole", () => {
  using libc = openLibc();
  const poll = new PollSet(libc);
  const start = performance.now();
  for (let round = 0; round < 10; round++) poll.wait(0.2);
  assert(performance.now() - start >= 10 - 1);
});

Deno.test("a signal ends a wait with nothing ready, and what the wait before saw is forgotten", async () => {
  const program = new URL("./fixtures/interrupted_poll.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", program],
    stdout: "piped",
  }).spawn();
  let output = "";
  let signals: ReturnType<typeof setInterval> | undefined;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    // The first may come a moment before the wait begins.
    if (output.includes("ready")) signals ??= setInterval(() => child.kill("SIGUSR2"), 20);
    if (output.includes("}")) clearInterval(signals);
  }
  clearInterval(signals);
  await child.status;
  assertEquals(output, `ready\n${JSON.stringify({ before: 1, sawBefore: POLLIN, ready: 0, sees: 0 })}\n`);
});

Deno.test("a poll set that is full, and an index that is not there, are refused", () => {
  using libc = openLibc();
  const poll = new PollSet(libc, 1);
  poll.add(-1);
  assertThrows(() => poll.add(-1), RangeError, "the poll set must have room");
  assertThrows(() => poll.set(1, -1), RangeError, "the index must be below 1");
});
