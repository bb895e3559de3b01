import { assertEquals } from "@std/assert";
import type { NotifyDatagram } from "../../native/notify_socket.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { OwnNotices } from "./own_notices.ts";

/** The socket of a service whose user is 998. */
class Ear implements Disposable {
  readonly clock = new FakeClock();
  told = 0;
  isOpen = true;
  #onMessage!: (datagram: NotifyDatagram) => void;
  readonly notices = new OwnNotices({
    sockets: {
      open: (_path, onMessage) => {
        this.#onMessage = onMessage;
        return { [Symbol.dispose]: () => void (this.isOpen = false) };
      },
    },
    path: "/run/culvert/one.notify",
    uid: 998,
    clock: this.clock,
    onNotice: () => void this.told++,
  });

  say(text: string, uid = 998): void {
    this.#onMessage({ text, uid, pid: 4711 });
  }

  [Symbol.dispose](): void {
    this.notices[Symbol.dispose]();
  }
}

Deno.test("what a service says adds up, each with its time", async () => {
  using ear = new Ear();
  assertEquals(ear.notices.said, {});
  await ear.clock.advance(10);
  ear.say("READY=1\nSTATUS=listening");
  await ear.clock.advance(10);
  ear.say("WATCHDOG=1");
  assertEquals(ear.notices.said, { readyAtMs: 10, aliveAtMs: 20, status: "listening" });
  await ear.clock.advance(10);
  ear.say("WATCHDOG=1\nSTATUS=");
  ear.say("STOPPING=1");
  assertEquals(ear.notices.said, { readyAtMs: 10, aliveAtMs: 30, status: "" });
  assertEquals(ear.told, 4);
});

Deno.test("another user cannot speak for it, and root can", () => {
  using ear = new Ear();
  ear.say("READY=1", 999);
  assertEquals([ear.notices.said, ear.told], [{}, 0]);
  ear.say("READY=1", 0);
  assertEquals([ear.notices.said, ear.told], [{ readyAtMs: 0 }, 1]);
});

Deno.test("what nobody understands is no notice, and the socket goes with the notices", () => {
  const ear = new Ear();
  ear.say("MAINPID=1\n");
  assertEquals([ear.notices.said, ear.told], [{}, 0]);
  ear[Symbol.dispose]();
  assertEquals(ear.isOpen, false);
});
