import { assertEquals, assertThrows } from "@std/assert";
import { Epoll } from "./epoll.ts";
import { SysError } from "./errno.ts";
import { openLibc } from "./libc.ts";
import { EventFd } from "./poll.ts";

Deno.test("of many descriptors, a wait tells those that are ready, until they are read", () => {
  using libc = openLibc();
  using stack = new DisposableStack();
  const epoll = stack.use(new Epoll(libc));
  const events = Array.from({ length: 300 }, () => stack.use(new EventFd(libc)));
  for (const { fd } of events) epoll.add(fd);
  assertEquals(epoll.wait(0), 0);

  const readyFds = () => Array.from({ length: epoll.wait(0) }, (_, at) => epoll.fd(at)).toSorted((a, b) => a - b);
  for (const at of [3, 7, 299]) events[at]!.wake();
  const expected = [3, 7, 299].map((at) => events[at]!.fd);
  assertEquals(readyFds(), expected);
  assertEquals(readyFds(), expected);
  events[7]!.drain();
  assertEquals(readyFds(), [expected[0], expected[2]]);
});

Deno.test("more than one wait can tell come one after another", () => {
  using libc = openLibc();
  using stack = new DisposableStack();
  const epoll = stack.use(new Epoll(libc));
  const events = Array.from({ length: 300 }, () => stack.use(new EventFd(libc)));
  for (const event of events) {
    epoll.add(event.fd);
    event.wake();
  }
  const seen = new Set<number>();
  for (let wait = 0; wait < 2; wait++) {
    const ready = epoll.wait(0);
    assertEquals(ready, 256);
    for (let at = 0; at < ready; at++) seen.add(epoll.fd(at));
  }
  assertEquals(seen.size, 300);
});

Deno.test("what is removed or closed is not told", () => {
  using libc = openLibc();
  using epoll = new Epoll(libc);
  using removed = new EventFd(libc);
  epoll.add(removed.fd);
  {
    using closed = new EventFd(libc);
    epoll.add(closed.fd);
    closed.wake();
  }
  removed.wake();
  epoll.remove(removed.fd);
  assertEquals(epoll.wait(0), 0);
  assertThrows(() => epoll.remove(removed.fd), SysError, "ENOENT");
  epoll.add(removed.fd);
  assertThrows(() => epoll.add(removed.fd), SysError, "EEXIST");
});
