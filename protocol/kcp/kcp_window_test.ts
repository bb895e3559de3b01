import { assertEquals } from "@std/assert";
import { KcpWindow } from "./kcp_window.ts";

function grown(window: KcpWindow, times: number, peerWindow = 32): number[] {
  return Array.from({ length: times }, () => {
    window.grow(peerWindow);
    return window.segments;
  });
}

Deno.test("it starts slowly to two segments, and then creeps by bytes as kcp-go reckons them", () => {
  // 1000, 2000, 2562, 3014, 3407, 3762, 4089 bytes
  assertEquals(grown(new KcpWindow(1000), 6), [2, 2, 4, 4, 4, 4]);
});

Deno.test("a fast resend leaves half of what was in flight, and as much as made it sure", () => {
  const window = new KcpWindow(1000);
  window.resent(20, 2);
  assertEquals(window.segments, 12);
  window.resent(20, 0);
  assertEquals(window.segments, 9);
});

Deno.test("a time-out leaves one, and a slow start to half of the window", () => {
  const window = new KcpWindow(1000);
  window.timedOut(12);
  assertEquals(window.segments, 1);
  assertEquals(grown(window, 5), [2, 3, 4, 5, 6]);
});

Deno.test("it does not grow beyond what the peer takes", () => {
  const window = new KcpWindow(1000);
  window.timedOut(64);
  assertEquals(grown(window, 5, 3), [2, 3, 3, 3, 3]);
});
